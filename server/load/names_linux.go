package load

import (
	"os"

	"golang.org/x/sys/unix"
)

// someNames reads the next names of a folder into a slice, none at its end. Where others are answered it reads few at once: with as many
// as package os reads the processor answers no query for a tenth of a millisecond.
func someNames(folder *os.File, names []string, alone bool) ([]string, error) {
	names = names[:0]
	buf := make([]byte, 512)
	if alone {
		buf = make([]byte, 64<<10)
	}
	for {
		n, err := unix.ReadDirent(int(folder.Fd()), buf)
		if err == unix.EINTR {
			continue
		}
		for left := buf[:max(n, 0)]; len(left) > 0; {
			var used int
			used, _, names = unix.ParseDirent(left, -1, names)
			left = left[used:]
		}
		if len(names) > 0 || n <= 0 { // "." and ".." may have filled it
			return names, err
		}
	}
}
