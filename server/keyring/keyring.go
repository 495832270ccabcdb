package keyring

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"mxtrap/zone/conf"
	"mxtrap/zone/dname"
	"mxtrap/zone/sign"
	"mxtrap/zone/source"
)

// Config is which zones are signed and where their keys are, as the table [dnssec] says it.
type Config struct {
	Default bool   // whether a zone is signed that does not say
	Keys    string // the folder of key files; "" for none
	secret  string // the file of a secret that keys are derived from; "" for none
}

// ConfigOf reads the table. Paths are relative to the server file, as beside has them; the folder of keys is that of the state, if nothing
// else is said.
func ConfigOf(t *conf.Table, beside func(path string) string, state string) Config {
	var d Config
	t.Bool("default", &d.Default)
	if d.Keys = "keys"; state != "" {
		d.Keys = filepath.Join(state, "keys")
	}
	if t.Has("keys") {
		t.String("keys", &d.Keys)
	}
	d.Keys = beside(d.Keys)
	t.String("secret", &d.secret)
	d.secret = beside(d.secret)
	t.Close()
	return d
}

// Ring has the keys of zones, as they are on disk at one moment.
type Ring struct {
	dnssec Config
	secret []byte
	err    error               // the folder or the secret cannot be read
	files  map[string][]string // of each zone's keys, the names without ending; by what they begin with

	mu    sync.Mutex
	held  map[string]heldKey // by the name without ending
	zones map[string][]*sign.Key
	none  map[string]bool // zones that were asked for and have no key
}

// heldKey is a key with what its files were when it was read.
type heldKey struct {
	key             *sign.Key
	err             error
	public, private fileNote
}

// fileNote tells whether a file has changed.
type fileNote struct {
	size     int64
	modified time.Time
	mode     fs.FileMode
}

func noteOf(path string) fileNote {
	info, err := os.Stat(path)
	if err != nil {
		return fileNote{}
	}
	return fileNote{info.Size(), info.ModTime(), info.Mode()}
}

// New lists the keys there are. Those that were read before, and whose files have not changed since, are taken over.
func New(d Config, before *Ring) *Ring {
	r := &Ring{dnssec: d, files: map[string][]string{}, held: map[string]heldKey{}, zones: map[string][]*sign.Key{}, none: map[string]bool{}}
	if d.secret != "" {
		if r.secret, r.err = readSecret(d.secret); r.err != nil {
			return r
		}
	} else {
		folder, err := os.Open(d.Keys)
		if err == nil {
			defer folder.Close()
			err = r.list(folder)
		}
		if r.err = err; errors.Is(err, fs.ErrNotExist) {
			r.err = nil // then there are no keys
		}
	}
	if before == nil || before.dnssec != d {
		return r
	}
	before.mu.Lock()
	defer before.mu.Unlock()
	if d.secret != "" {
		if string(r.secret) == string(before.secret) {
			r.zones = before.zones
		}
		return r
	}
	for file, h := range before.held {
		if path := filepath.Join(d.Keys, file); h.err == nil && h.public == noteOf(path+sign.PublicFile) && h.private == noteOf(path+sign.PrivateFile) {
			r.held[file] = h
		}
	}
	for zone, keys := range before.zones { // the same slice says that nothing has changed
		if now, err := r.read(zone); err == nil && slices.Equal(now, keys) {
			r.zones[zone] = keys
		}
	}
	return r
}

// list finds the key files of a folder.
func (r *Ring) list(folder *os.File) error {
	for {
		names, err := folder.Readdirnames(1000)
		for _, name := range names {
			file, ok := strings.CutSuffix(name, sign.PublicFile)
			if zone, _, plus := strings.Cut(file, "+"); ok && plus {
				r.files[zone+"+"] = append(r.files[zone+"+"], file)
			}
		}
		if len(names) == 0 {
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			return nil
		}
	}
}

// readSecret reads the secret that keys are derived from.
func readSecret(path string) ([]byte, error) {
	text, err := source.ReadText(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, conf.Plain(err))
	}
	if len(text) < sign.MinSecret {
		return nil, fmt.Errorf("%s: a secret has %d octets or more; make one with: head -c 32 /dev/urandom > %s", path, sign.MinSecret, path)
	}
	return slices.Clone(text), nil
}

// Of are the keys of a zone. It is the same slice as long as the files are the same.
func (r *Ring) Of(zone dname.Name) (keys []*sign.Key, err error) {
	if r == nil {
		return nil, errors.New("there are no keys")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if keys, ok := r.zones[string(zone)]; ok {
		return keys, nil
	}
	if keys, err = r.read(string(zone)); err == nil {
		r.zones[string(zone)] = keys
	}
	return keys, err
}

// read reads the keys of a zone.
func (r *Ring) read(zone string) (keys []*sign.Key, err error) {
	name := dname.Name(zone)
	if r.err != nil {
		return nil, r.err
	}
	if r.secret != nil {
		k, err := sign.Derive(r.secret, name, 0, sign.Times{})
		return []*sign.Key{k}, err
	}
	files := r.files[sign.FilesOf(name)]
	slices.Sort(files)
	for _, file := range files {
		h, ok := r.held[file]
		if !ok {
			h = readKey(filepath.Join(r.dnssec.Keys, file), name)
			r.held[file] = h
		}
		if h.err != nil {
			return nil, h.err
		}
		keys = append(keys, h.key)
	}
	if len(keys) == 0 {
		r.none[zone] = true
		return nil, fmt.Errorf("no key of the zone in %s: make one with mxtrap key generate %s, or put its key files there", r.dnssec.Keys, name.Bare())
	}
	return keys, nil
}

// Keyless are the zones whose keys were asked for and that have none.
func (r *Ring) Keyless() (zones []dname.Name) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for zone := range r.none {
		zones = append(zones, dname.Name(zone))
	}
	slices.SortFunc(zones, dname.Name.Compare)
	return zones
}

// readKey reads the two files of a key.
func readKey(path string, zone dname.Name) (h heldKey) {
	h.public, h.private = noteOf(path+sign.PublicFile), noteOf(path+sign.PrivateFile)
	public, err := source.ReadText(path + sign.PublicFile)
	if err != nil {
		return heldKey{err: fmt.Errorf("%s: %w", path+sign.PublicFile, conf.Plain(err))}
	}
	private, err := source.ReadText(path + sign.PrivateFile)
	if err != nil {
		return heldKey{err: fmt.Errorf("%s: %w; it must be readable for the user that mxtrap runs as", path+sign.PrivateFile, conf.Plain(err))}
	}
	k, err := sign.ParseKey(public, private)
	switch {
	case err != nil:
		h.err = fmt.Errorf("%s: %w", path+sign.PrivateFile, err)
	case k.Zone != zone:
		h.err = fmt.Errorf("%s: the key is one of %s", path+sign.PublicFile, k.Zone)
	}
	h.key = k
	return h
}

// Exposed are the private keys, of those that were read, and the secret, that others than their owner and group can read.
func (r *Ring) Exposed() (paths []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for file, h := range r.held {
		if h.err == nil && h.private.mode&0o007 != 0 {
			paths = append(paths, filepath.Join(r.dnssec.Keys, file)+sign.PrivateFile)
		}
	}
	if r.secret != nil && noteOf(r.dnssec.secret).mode&0o007 != 0 {
		paths = append(paths, r.dnssec.secret)
	}
	slices.Sort(paths)
	return paths
}
