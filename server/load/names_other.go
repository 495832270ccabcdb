//go:build !linux

package load

import (
	"io"
	"os"
)

// someNames reads the next names of a folder, none at its end.
func someNames(folder *os.File, _ []string, _ bool) ([]string, error) {
	names, err := folder.Readdirnames(100)
	if err == io.EOF {
		err = nil
	}
	return names, err
}
