//go:build !linux

package source

import "golang.org/x/sys/unix"

// open opens a file for reading.
func open(path string) (fd int, err error) {
	return unix.Open(path, openFlags, 0)
}
