package keyring

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"mxtrap/zone/sign"
)

// Write writes the two files of a new key. It never replaces one that is there.
func (c Config) Write(k *sign.Key) (path string, err error) {
	if c.secret != "" && !k.IsDerived() {
		return "", fmt.Errorf("all keys are derived from dnssec.secret (%s); mxtrap key roll makes the next one", c.secret)
	}
	path = c.Path(k)
	if _, err := os.Lstat(path + sign.PublicFile); !errors.Is(err, fs.ErrNotExist) {
		return path, fmt.Errorf("%s: there is such a key already", path+sign.PublicFile)
	}
	if _, err := os.Lstat(path + sign.PrivateFile); !errors.Is(err, fs.ErrNotExist) {
		return path, fmt.Errorf("%s: there is such a key already", path+sign.PrivateFile)
	}
	return path, c.Replace(k)
}

// Path is where a key's files are, without their endings.
func (c Config) Path(k *sign.Key) string { return filepath.Join(c.Keys, k.File()) }

// Replace writes the two files of a key again, whose times have changed. It puts the private file in its place first: a key without it is an
// error, and a private one alone is none.
func (c Config) Replace(k *sign.Key) error {
	if err := c.makeFolder(); err != nil {
		return err
	}
	private, err := k.Private()
	if err != nil {
		return err
	}
	path := c.Path(k)
	if err := put(path+sign.PrivateFile, private, 0o600); err != nil {
		return err
	}
	return put(path+sign.PublicFile, k.Public(), 0o644)
}

// makeFolder makes the folder where there is none. It belongs to whom the folder above belongs: that of the service's state is the service's.
func (c Config) makeFolder() error {
	if _, err := os.Lstat(c.Keys); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(c.Keys, 0o700); err != nil {
		return err
	}
	made, err := os.Open(c.Keys)
	if err != nil {
		return err
	}
	defer made.Close()
	if above, err := os.Stat(filepath.Dir(c.Keys)); err == nil {
		keepOwner(made, above)
	}
	return nil
}

// put writes a file whole or not at all. One that is there keeps its owner and rights.
func put(path string, text []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
		keepOwner(f, info)
	} else if folder, err := os.Stat(filepath.Dir(path)); err == nil {
		keepOwner(f, folder)
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
