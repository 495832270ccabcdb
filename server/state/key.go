package state

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// KeySize is how many octets a key has.
const KeySize = 32

// Key is a key of this installation: that in a file of the folder, or a new one that is put there.
func Key(folder, name string) ([]byte, error) {
	if folder == "" {
		return nil, errors.New("server.state is not set")
	}
	file := filepath.Join(folder, name)
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: is no file", file)
	}
	key, err := os.ReadFile(file)
	switch {
	case err == nil && len(key) != KeySize:
		return nil, fmt.Errorf("%s: not %d octets", file, KeySize)
	case !errors.Is(err, fs.ErrNotExist):
		return key, err
	}
	key = make([]byte, KeySize)
	rand.Read(key)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	return key, replace(file, func(w *bufio.Writer) { w.Write(key) })
}
