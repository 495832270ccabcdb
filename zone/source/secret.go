package source

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"sync"

	"mxtrap/zone/conf"
)

// secretFile is a file with the secret of a trap as it was read. Very many zones may name it.
type secretFile struct {
	path string
	Note
	text []byte
}

// maxSecret bounds a secret, in octets: each zone's key follows from all of it.
const maxSecret = 4096

// readSecret reads the secret that the trap's names and addresses follow from, unless the zone is made again of what was read before.
func (s *Zone) readSecret() {
	item := s.trap.SecretFile()
	if item.Text == "" {
		return
	}
	if s.files.secret == nil {
		path := strings.Clone(item.Text) // which outlives the file's text
		if !filepath.IsAbs(path) {
			path = filepath.Join(filepath.Dir(s.Path), path)
		}
		secret, err := readSecret(path)
		if err != nil {
			item.Fault("cannot be read: " + conf.Plain(err).Error())
			return
		}
		if secret.Open() {
			item.Warn("everybody on this host can read the secret: chmod 600 it")
		}
		s.files.secret = secret
	}
	s.trap.Use(s.files.secret.text)
}

var secretFiles sync.Map // of *secretFile, by path

// readSecret reads a file, or tells what it holds where it has not changed since.
func readSecret(path string) (*secretFile, error) {
	known, _ := secretFiles.Load(path)
	if known, ok := known.(*secretFile); ok {
		if now, ok := known.Renewed(path); ok {
			if now == known.Note {
				return known, nil
			}
			known = &secretFile{path, now, known.text}
			secretFiles.Store(path, known)
			return known, nil
		}
	}
	note, text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	defer ReleaseText(text)
	if len(text) > maxSecret {
		return nil, errors.New("larger than 4096 octets: a secret is some 32 random ones")
	}
	read := &secretFile{path, note, bytes.Clone(text)}
	secretFiles.Store(path, read)
	return read, nil
}
