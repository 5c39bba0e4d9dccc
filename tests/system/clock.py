"""A clock for quotad that a test can move while quotad runs.

    clock = Clock(brim.folder)
    brim.start_quotad(prefix=clock.prefix)
    clock.move(days=3)
"""

import pathlib
import struct
import subprocess

DAY = 86400


class Clock:
    """Builds clock.c, and holds the file that it maps."""

    def __init__(self, folder):
        self.shift = 0
        self.wall_shift = 0
        self.file = pathlib.Path(folder, "clock")
        library = pathlib.Path(folder, "clock.so")
        source = pathlib.Path(__file__).with_suffix(".c")
        subprocess.run(["cc", "-D_GNU_SOURCE", "-O2", "-Wall", "-Werror", "-shared", "-fPIC",
                        "-o", library, source], check=True)
        self._write()
        self.prefix = ["env", f"BRIM_CLOCK={self.file}", f"LD_PRELOAD={library}",
                       "ASAN_OPTIONS=verify_asan_link_order=0"]

    def _write(self):
        with open(self.file, "r+b" if self.file.exists() else "wb") as f:
            f.write(struct.pack("qq", self.wall_shift, self.shift))

    def move(self, days):
        """Time passes, on every clock."""
        self.shift += int(days * DAY)
        self.move_wall(days)

    def move_wall(self, days):
        """The wall clock is set, back too; the others go on."""
        self.wall_shift += int(days * DAY)
        self._write()
