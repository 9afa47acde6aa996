# The first start of a chip: its file system, as inisetup.py of a stock image makes it.
import vfs


def format(flash):
    """Make one where flash is erased, and mount it. OSError where something else is there."""
    buf = bytearray(512)
    flash.readblocks(0, buf)
    if any(b != 255 for b in buf):
        raise OSError("the file system is damaged")
    vfs.VfsLfs2.mkfs(flash)
    vfs.mount(flash, "/")
    with open("/boot.py", "w") as f:
        f.write("# This file is executed on every boot (including wake-boot from deepsleep)\n")
