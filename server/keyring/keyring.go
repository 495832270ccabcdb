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

	"github.com/miekg/dns"

	"mxtrap/server/secret"
	"mxtrap/zone/conf"
	"mxtrap/zone/dname"
	"mxtrap/zone/sign"
	"mxtrap/zone/source"
)

// Config is which zones are signed and where their keys are, as the table [dnssec] says it.
type Config struct {
	Default bool   // whether a zone is signed that does not say
	Keys    string // the folder of key files
	secret  string // the file of a secret that keys are derived from; "" for none
	said    bool   // the folder is the one that the server file names
}

// UseState has keys be in a folder of state, where the server file names none.
func (c *Config) UseState(state string) {
	if !c.said {
		c.Keys = filepath.Join(state, "keys")
	}
}

// ConfigOf reads the table. Paths are relative to the server file, as beside has them; the folder of keys is that of the state, if nothing
// else is said.
func ConfigOf(t *conf.Table, beside func(path string) string, state string) Config {
	var d Config
	t.Bool("default", &d.Default)
	if d.Keys = "keys"; state != "" {
		d.Keys = filepath.Join(state, "keys")
	}
	d.said = t.Has("keys")
	t.String("keys", &d.Keys)
	d.Keys = beside(d.Keys)
	if d.secret = secret.File(t, "secret", beside); d.secret == "" && !t.IsTable("secret") {
		if t.String("secret", &d.secret); d.secret != "" {
			d.secret = beside(d.secret)
		}
	}
	t.Close()
	return d
}

// Ring has the keys of zones, as they are on disk at one moment.
type Ring struct {
	config Config
	secret []byte
	err    error               // the folder or the secret cannot be read
	files  map[string][]string // of each zone's keys, the names without ending; by what they begin with
	lazy   bool                // it is left to the first signature whether the two files of a key are of one pair
	before map[string]*keys    // as they were read by the ring before

	mu    sync.Mutex
	zones map[string]*keys
	none  map[string]bool // zones that were asked for and have no key
}

// keys are those of a zone, with what their files were.
type keys struct {
	list  []*sign.Key
	files []file
}

// file is a key's files, by their name without ending.
type file struct {
	name            string
	public, private source.Note
}

// New lists the keys there are. Those that were read before, and whose files have not changed since, are taken over.
func New(c Config, before *Ring) *Ring {
	r := &Ring{config: c, files: map[string][]string{}, zones: map[string]*keys{}, none: map[string]bool{}}
	if c.secret != "" {
		r.secret, r.err = readSecret(c.secret)
	}
	if before != nil && before.secret != nil && before.config.secret == c.secret && r.err == nil && string(before.secret) != string(r.secret) {
		r.err = fmt.Errorf("%s: the secret has changed, which would change the keys of all zones at once; put the old one back, or restart mxtrap", c.secret)
		r.secret = before.secret // the next reload compares with it
	}
	if err := r.list(); err != nil && !errors.Is(err, fs.ErrNotExist) { // no folder: there are no keys
		r.err = errors.Join(r.err, err)
	}
	if before != nil && before.config == c && string(before.secret) == string(r.secret) {
		before.mu.Lock()
		defer before.mu.Unlock()
		r.before = before.zones
	}
	return r
}

// Trust leaves it to the first signature to find out whether the two files of a key are of one pair: to know that takes as long as half a
// signature, and a start is not to wait for it.
func (r *Ring) Trust() *Ring {
	r.lazy = true
	return r
}

// list finds the key files of the folder.
func (r *Ring) list() error {
	folder, err := os.Open(r.config.Keys)
	if err != nil {
		return err
	}
	defer folder.Close()
	for {
		names, err := folder.Readdirnames(1000)
		for _, name := range names {
			file, ok := strings.CutSuffix(name, sign.PublicFile)
			if zone, _, plus := strings.Cut(file, "+"); ok && plus {
				zone = file[:len(zone)+1]
				r.files[zone] = append(r.files[zone], file)
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
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
func (r *Ring) Of(zone dname.Name) ([]*sign.Key, error) {
	switch {
	case r == nil:
		return nil, errors.New("there are no keys")
	case r.err != nil:
		return nil, r.err
	}
	r.mu.Lock()
	k := r.zones[string(zone)]
	r.mu.Unlock()
	if k != nil {
		return k.list, nil
	}
	k, err := r.read(zone)
	r.mu.Lock()
	defer r.mu.Unlock()
	if errors.Is(err, errNone) {
		r.none[string(zone)] = true
	}
	if err != nil {
		return nil, err
	}
	if other := r.zones[string(zone)]; other != nil {
		return other.list, nil // somebody else was faster
	}
	r.zones[string(zone)] = k
	return k.list, nil
}

// Successor makes the key that takes the place of a zone's keys.
func (r *Ring) Successor(zone dname.Name, keys []*sign.Key, algorithm uint8) (*sign.Key, error) {
	if r.secret != nil {
		return sign.Derive(r.secret, zone, algorithm, sign.NextDerived(keys))
	}
	return sign.Generate(zone, algorithm)
}

// errNone is the error of a zone without keys.
var errNone = errors.New("no key")

// read reads the keys of a zone, unless their files are as they were.
func (r *Ring) read(zone dname.Name) (*keys, error) {
	before, names := r.before[string(zone)], r.files[sign.FilesOf(zone)]
	slices.Sort(names)
	switch {
	case before != nil && r.unchanged(before, names):
		return before, nil
	case len(names) > 0:
	case r.secret != nil:
		k, err := sign.Derive(r.secret, zone, dns.ECDSAP256SHA256, 0)
		return &keys{list: []*sign.Key{k}}, err
	default:
		return nil, fmt.Errorf("%w of the zone in %s: make one with mxtrap key generate %s, or put its key files there", errNone, r.config.Keys, zone.Bare())
	}
	now := &keys{}
	for _, name := range names {
		k, f, err := r.readKey(name, zone)
		if err != nil {
			return nil, err
		}
		now.list, now.files = append(now.list, k), append(now.files, f)
	}
	return now, nil
}

// unchanged says whether the files of a zone's keys are those that there were, with what was in them.
func (r *Ring) unchanged(k *keys, names []string) bool {
	return slices.EqualFunc(k.files, names, func(f file, name string) bool {
		path := filepath.Join(r.config.Keys, name)
		_, public := f.public.Renewed(path + sign.PublicFile)
		_, private := f.private.Renewed(path + sign.PrivateFile)
		return f.name == name && public && private
	})
}

// readKey reads the two files of a key.
func (r *Ring) readKey(name string, zone dname.Name) (k *sign.Key, f file, err error) {
	path := filepath.Join(r.config.Keys, name)
	f.name = name
	var public, private []byte
	if f.public, public, err = source.ReadNoted(path + sign.PublicFile); err != nil {
		return nil, f, fmt.Errorf("%s: %w", path+sign.PublicFile, conf.Plain(err))
	}
	defer source.ReleaseText(public)
	if f.private, private, err = source.ReadNoted(path + sign.PrivateFile); err != nil {
		return nil, f, fmt.Errorf("%s: %w; the user that mxtrap runs as must be able to read it", path+sign.PrivateFile, conf.Plain(err))
	}
	defer source.ReleaseText(private)
	if k, err = sign.ParseKey(public, private, r.secret); err != nil {
		return nil, f, fmt.Errorf("%s%w", path, err)
	}
	if !r.lazy {
		if err := k.Check(); err != nil {
			return nil, f, fmt.Errorf("%s: %w", path+sign.PrivateFile, err)
		}
	}
	if k.Zone != zone {
		return nil, f, fmt.Errorf("%s: the key is one of %s", path+sign.PublicFile, k.Zone)
	}
	return k, f, nil
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

// Exposed are the private keys, of those that were read, and the secret, that others than their owner and group can read.
func (r *Ring) Exposed() (paths []string) {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range r.zones {
		for i, f := range k.files {
			if f.private.Open() && !k.list[i].IsDerived() {
				paths = append(paths, filepath.Join(r.config.Keys, f.name)+sign.PrivateFile)
			}
		}
	}
	if info, err := os.Stat(r.config.secret); r.secret != nil && err == nil && info.Mode()&0o007 != 0 {
		paths = append(paths, r.config.secret)
	}
	slices.Sort(paths)
	return paths
}
