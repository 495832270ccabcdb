package socket

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
)

// ListenUnix makes a Unix socket at a path, with a mode, and its folder where that is missing. A socket that a process has left there is taken
// away.
func ListenUnix(path string, mode fs.FileMode) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == os.ModeSocket {
		if conn, err := net.Dial("unix", path); err == nil {
			conn.Close()
			return nil, errors.New("another process answers there")
		}
		os.Remove(path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err == nil {
		err = os.Chmod(path, mode)
	}
	return l, err
}
