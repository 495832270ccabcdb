package source

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// strange says that some file belongs to another user than this process runs as.
var strange atomic.Bool

// open opens a file for reading. The time of its last access stays as it was, for to note it costs as much as to read the file; the kernel
// permits that to the file's owner and to root.
func open(path string) (fd int, err error) {
	if !strange.Load() {
		if fd, err = unix.Open(path, openFlags|unix.O_NOATIME, 0); err != unix.EPERM {
			return fd, err
		}
		strange.Store(true)
	}
	return unix.Open(path, openFlags, 0)
}
