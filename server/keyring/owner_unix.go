//go:build unix

package keyring

import (
	"io/fs"
	"os"
	"syscall"
)

// keepOwner gives a file the owner of another one, where this user may: the server must be able to read what root has written.
func keepOwner(f *os.File, like fs.FileInfo) {
	if s, ok := like.Sys().(*syscall.Stat_t); ok {
		f.Chown(int(s.Uid), int(s.Gid))
	}
}
