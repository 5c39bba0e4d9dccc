"""A disk whose cache a power cut loses: FOLDER/disk has the bytes of IMAGE.

    cache.py FOLDER IMAGE

For each line on standard input, a number that decides what chance does, it writes to IMAGE what
a power cut now would leave: all that was flushed; of the writes since then none, some or the
last ones, each whole or its first blocks alone. Then it prints a line of its own.
"""

import errno
import os
import random
import stat
import sys
import threading

import fusepy

BLOCK = 4096  # that a disk writes whole; ext4's superblock lies in one


class Cache(fusepy.Operations):
    """All that is written is read again; only fsync() brings it to the disk."""

    def __init__(self, image):
        self.image = image
        with open(image, "rb") as f:
            self.disk = bytearray(f.read())
        self.read_again = bytearray(self.disk)
        self.unflushed = []
        self.mutex = threading.Lock()

    def getattr(self, path, fh=None):
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
        if path != "/disk":
            raise fusepy.FuseOSError(errno.ENOENT)
        return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1, "st_size": len(self.disk)}

    def read(self, path, size, offset, fh):
        with self.mutex:
            return bytes(self.read_again[offset:offset + size])

    def write(self, path, data, offset, fh):
        with self.mutex:
            self.read_again[offset:offset + len(data)] = data
            self.unflushed.append((offset, data))
        return len(data)

    def fsync(self, path, datasync, fh):
        with self.mutex:
            for offset, data in self.unflushed:
                self.disk[offset:offset + len(data)] = data
            self.unflushed = []
        return 0

    def cut(self, chance):
        """What is left, and in words what that is."""
        with self.mutex:
            left, writes = bytearray(self.disk), list(self.unflushed)
        share = chance.choice([0, 0.5, 0.5, 0.9])
        kept = [w for w in writes if chance.random() < share]
        if chance.random() < 0.3:
            kept = writes[-2:]
        for offset, data in kept:
            if chance.random() < 0.3:
                data = data[:BLOCK * chance.randrange(len(data) // BLOCK + 1)]
            left[offset:offset + len(data)] = data
        return left, f"{len(kept)} of {len(writes)} writes kept"

    def listen(self):
        for line in sys.stdin:
            left, words = self.cut(random.Random(int(line)))
            with open(self.image, "wb") as f:
                f.write(left)
            print(words, flush=True)
        os._exit(0)


def main():
    folder, image = sys.argv[1:]
    cache = Cache(image)
    threading.Thread(target=cache.listen, daemon=True).start()
    fusepy.FUSE(cache, folder, foreground=True, direct_io=True, nothreads=True, big_writes=True)


if __name__ == "__main__":
    main()
