"""A content filter as Postfix's FILTER_README has it: it takes mail by SMTP and sends it back
by SMTP, and answers with what it was answered. The message gets a header, of as many bytes as
its X-Grow: header asks for, and has another queue id from then on.

    content_filter.py LISTEN-PORT BACK-PORT
"""

import re
import smtplib
import socketserver
import sys

HOST, PATIENCE = "127.0.0.1", 120
LINE = 70  # bytes of a line of the header that is added


def added(message):
    """The header's lines."""
    asked = re.search(rb"^X-Grow: (\d+)\r\n", message, re.M)
    lines = int(asked[1]) // LINE if asked else 0
    return b"X-Scanned: yes\r\n" + (b"\t" + b"x" * (LINE - 3) + b"\r\n") * lines


class Session(socketserver.StreamRequestHandler):
    """One SMTP session with Postfix's client."""

    def reply(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def handle(self):
        self.reply("220 filter.test ESMTP")
        sender, recipients = None, []
        while line := self.rfile.readline():
            verb = line.split(None, 1)[0].upper() if line.strip() else b""
            if verb == b"DATA":
                self.reply("354 go on")
                self.reply(self.send_back(sender, recipients, self.read_message()))
                recipients = []
            elif verb == b"MAIL":
                sender = address(line)
                self.reply("250 2.1.0 Ok")
            elif verb == b"RCPT":
                recipients.append(address(line))
                self.reply("250 2.1.5 Ok")
            elif verb == b"QUIT":
                return self.reply("221 2.0.0 Bye")
            else:
                self.reply("250 2.0.0 Ok")

    def read_message(self):
        """Dots in front stay doubled: the message is sent on as it came."""
        lines = iter(self.rfile.readline, b".\r\n")
        return b"".join(lines)

    def send_back(self, sender, recipients, message):
        """Postfix's reply to the message."""
        with smtplib.SMTP(HOST, int(sys.argv[2]), "filter.test", timeout=PATIENCE) as s:
            s.ehlo()
            for command in [f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{r}>" for r in recipients),
                            "DATA"]:
                code, text = s.docmd(command)
                if code not in (250, 354):
                    return f"{code} {text.decode()}"
            s.send(added(message) + message + b".\r\n")
            code, text = s.getreply()
            return f"{code} {text.decode()}"


def address(line):
    return re.search(rb"<(.*?)>", line)[1].decode()


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 100


if __name__ == "__main__":
    Server((HOST, int(sys.argv[1])), Session).serve_forever()
