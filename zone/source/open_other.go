//go:build !linux

package source

import "golang.org/x/sys/unix"

// open opens a file for reading, and does not wait for the writer of a pipe.
func open(path string) (fd int, err error) {
	return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
}
