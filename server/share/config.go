package share

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"mxtrap/server/secret"
	"mxtrap/zone/conf"
)

// Config is the table [share].
type Config struct {
	options *redis.UniversalOptions // nil: nothing is shared
	Node    string                  // what this server is called
	prefix  string                  // of all keys
}

// On says whether facts are shared.
func (c *Config) On() bool { return c.options != nil }

// Times of a connection. A store that takes longer is gone.
const (
	dialTime  = 2 * time.Second
	replyTime = 3 * time.Second
)

// defaultPort is Redis's, and that of Sentinel.
const (
	defaultPort         = "6379"
	defaultSentinelPort = "26379"
)

// ConfigOf reads the table. Paths are relative to the server file, as beside makes them.
func ConfigOf(t *conf.Table, beside func(string) string) (c Config) {
	var urls []conf.Item
	if t.IsString("redis") {
		text := ""
		t.String("redis", &text)
		urls = []conf.Item{t.Item("redis", text)}
	} else {
		urls = t.Strings("redis")
	}
	master, name, ca := "", "", ""
	t.String("sentinel", &master)
	c.prefix, c.Node = "mxtrap", ""
	t.String("prefix", &c.prefix)
	t.String("node", &c.Node)
	t.String("ca", &ca)
	password := readPassword(t, "password", beside)
	sentinelPassword := readPassword(t, "sentinel_password", beside)
	t.Close()
	if len(urls) == 0 {
		if t.Has("redis") || master != "" || t.Has("password") {
			t.Fault("redis", "", `names no store: write redis = "redis://192.0.2.10:6379"`)
		}
		return c
	}
	if host, err := os.Hostname(); c.Node == "" && err == nil {
		c.Node = host
	}
	if c.Node == "" || strings.ContainsFunc(c.Node, func(r rune) bool { return r <= ' ' }) {
		t.Fault("node", c.Node, "what this server is called among the others, without blanks")
	}
	o := &redis.UniversalOptions{
		MasterName: master, Password: password, SentinelPassword: sentinelPassword, DialTimeout: dialTime, ReadTimeout: replyTime, WriteTimeout: replyTime,
		ContextTimeoutEnabled: true, MaxRetries: -1, PoolSize: 4, DisableIdentity: true, Protocol: 2,
	}
	for i, item := range urls {
		text := item.Text
		if master != "" && !strings.Contains(strings.TrimPrefix(strings.TrimPrefix(text, "redis://"), "rediss://"), ":") {
			text += ":" + defaultSentinelPort
		}
		one, err := redis.ParseURL(text)
		switch {
		case err != nil:
			item.Fault(`is no address of Valkey or Redis: write "redis://192.0.2.10:6379", or "rediss://" for TLS`)
			continue
		case one.Password != "":
			item.Fault(`has a password in it, which everybody can read who reads the server file: write password = { file = "PATH" }`)
		case one.Network == "unix" && master != "":
			item.Fault("is no address of a Sentinel")
		}
		if i == 0 {
			o.Username, o.DB, o.TLSConfig, name = one.Username, one.DB, one.TLSConfig, text
		} else if master == "" {
			item.Fault(`is a second store: several addresses are for Sentinels, whose master share.sentinel names`)
		} else if (one.TLSConfig == nil) != (o.TLSConfig == nil) {
			item.Fault("differs in TLS from " + name)
		}
		o.Addrs = append(o.Addrs, one.Addr)
	}
	if o.TLSConfig != nil {
		o.TLSConfig.MinVersion = tls.VersionTLS12
	}
	if ca != "" {
		readCA(t, beside(ca), ca, o.TLSConfig)
	}
	c.options = o
	return c
}

// readPassword reads a password from the file or the credential that a key names.
func readPassword(t *conf.Table, key string, beside func(string) string) string {
	if !t.Has(key) {
		return ""
	}
	if !t.IsTable(key) {
		t.Known(key)
		t.Fault(key, "", `everybody can read it who reads the server file: write { file = "PATH" } or { credential = "NAME" }`)
		return ""
	}
	path := secret.File(t, key, beside)
	if path == "" {
		return ""
	}
	lines := secret.Lines(t, key, path)
	if len(lines) != 1 {
		if len(lines) > 1 {
			t.Fault(key, "", path+" holds more than one line")
		}
		return ""
	}
	return lines[0]
}

// readCA has the store's certificate checked against those of a file.
func readCA(t *conf.Table, path, text string, to *tls.Config) {
	pem, err := os.ReadFile(path)
	switch {
	case to == nil:
		t.Fault("ca", text, `is for TLS: write "rediss://" in share.redis`)
	case err != nil:
		t.Fault("ca", text, conf.Plain(err).Error())
	default:
		if to.RootCAs = x509.NewCertPool(); !to.RootCAs.AppendCertsFromPEM(pem) {
			t.Fault("ca", text, "holds no certificate (PEM)")
		}
	}
}

// Where is the store, for messages.
func (c *Config) Where() string {
	where := strings.Join(c.options.Addrs, ", ")
	if c.options.MasterName != "" {
		return fmt.Sprintf("%s by the Sentinels %s", c.options.MasterName, where)
	}
	return where
}

// Same says whether two configurations share the same.
func (c *Config) Same(other *Config) bool {
	if c.On() != other.On() || !c.On() {
		return c.On() == other.On()
	}
	a, b := c.options, other.options
	return c.Node == other.Node && c.prefix == other.prefix && c.Where() == other.Where() && a.DB == b.DB && a.Username == b.Username &&
		a.Password == b.Password && a.SentinelPassword == b.SentinelPassword && (a.TLSConfig == nil) == (b.TLSConfig == nil)
}

// client connects to the store.
func (c *Config) client() redis.UniversalClient { return redis.NewUniversalClient(c.options) }

// key is the name of something in the store.
func (c *Config) key(name string) string { return cmp.Or(c.prefix, "mxtrap") + ":" + name }
