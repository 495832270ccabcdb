//go:build unix

package server

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// sharePort lets the workers' sockets share a port; the kernel spreads the clients over them.
func sharePort(_, _ string, c syscall.RawConn) (err error) {
	outer := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	})
	if outer != nil {
		return outer
	}
	return err
}
