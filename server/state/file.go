package state

import (
	"bufio"
	"os"
	"path/filepath"
)

// replace writes a file so that at any moment there is the old one or the whole new one, after a crash too.
func replace(file string, content func(*bufio.Writer)) error {
	whole, err := write(filepath.Dir(file), content)
	if err == nil {
		err = os.Rename(whole, file)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(file))
	}
	return err
}

// preparing are files that will have another name once they are whole.
const preparing = ".new-*"

// write writes a file of a folder that will have another name.
func write(folder string, content func(*bufio.Writer)) (file string, err error) {
	f, err := os.CreateTemp(folder, preparing)
	if err != nil {
		return "", err
	}
	w := bufio.NewWriter(f)
	content(w)
	err = w.Flush()
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
