package list

import (
	"errors"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"mxtrap/server/judge"
	"mxtrap/server/peer"
	"mxtrap/zone/conf"
	"mxtrap/zone/dname"
)

// Config is the table [list].
type Config struct {
	Lists  bool           // the list may be used; else it is looked at
	Exempt []netip.Prefix // who is never listed
	Policy string         // where Postfix asks; "": nowhere
	Log    string         // a mail log that tells who comes to real hosts: a path, or [Journal]; "": none
	Zone   string         // the DNSBL, without its final dot; "": there is none
	Allow  []netip.Prefix // who may ask it
	HTTP   bool           // the list is at /list.txt beside the metrics
	Tell   CrowdSec       // is told who is listed
}

// loopback may ask the DNSBL where the operator names nobody.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// ConfigOf reads the table. Paths are relative to the server file, as beside makes them.
func ConfigOf(t *conf.Table, beside func(string) string) (c Config) {
	for _, item := range t.Strings("exempt") {
		p, err := judge.ParseClients(item.Text)
		if err != nil {
			item.Fault(`is no address or prefix: write "192.0.2.1" or "192.0.2.0/24"`)
			continue
		}
		c.Exempt = append(c.Exempt, p)
	}
	mode := "observe"
	if t.String("mode", &mode); mode != "observe" && mode != "list" {
		t.Fault("mode", mode, "must be observe or list")
	}
	c.Lists = mode == "list"
	t.String("policy", &c.Policy)
	if path, unix := strings.CutPrefix(c.Policy, "unix:"); unix {
		c.Policy = "unix:" + beside(path)
	} else if _, err := netip.ParseAddrPort(c.Policy); c.Policy != "" && err != nil {
		t.Fault("policy", c.Policy, `is no address with a port, and does not begin with "unix:": write "127.0.0.1:10040" or "unix:/run/mxtrap/policy"`)
	}
	if t.String("log", &c.Log); c.Log != Journal {
		c.Log = beside(c.Log)
	}
	t.Bool("http", &c.HTTP)
	c.Tell = readCrowdSec(t.Table("crowdsec"), beside)
	c.readZone(t)
	t.Close()
	return c
}

// readZone reads what is said of the DNSBL.
func (c *Config) readZone(t *conf.Table) {
	if t.String("zone", &c.Zone); c.Zone != "" {
		apex, err := dname.Parse(c.Zone, dname.Root)
		switch {
		case err != nil:
			t.Fault("zone", c.Zone, err.Error())
		case apex.IsRoot() || len(apex) > longestApex:
			t.Fault("zone", c.Zone, "is no name for a DNSBL: before it there must be room for the digits of an IPv6 address")
		default:
			c.Zone = apex.Bare()
		}
	}
	c.Allow = loopback
	if t.Has("allow") {
		c.Allow = nil
	}
	for _, item := range t.Strings("allow") {
		p, err := peer.ParsePrefix(item.Text)
		if err != nil {
			item.Fault(err.Error())
			continue
		}
		c.Allow = append(c.Allow, p)
	}
}

// longestApex leaves room for the 32 digits of an IPv6 address, each with the length of its label.
const longestApex = dname.MaxName - 2*32

// Senses says whether anything tells who comes to real hosts.
func (c *Config) Senses() bool { return c.Policy != "" || c.Log != "" }

// Rules are those by which facts are judged, which are kept for a time.
func (c *Config) Rules(keep time.Duration) judge.Rules {
	return judge.Rules{Keep: keep, Exempt: c.Exempt}
}

// The files of the folder of state that have the facts and the operator's pardons.
const (
	FactsFile   = "sightings"
	pardonsFile = "pardons"
)

// filesIn is where the facts are in a folder of state, and the pardons.
func filesIn(folder string) (facts, pardons string) {
	return filepath.Join(folder, FactsFile), filepath.Join(folder, pardonsFile)
}

// errNoState is the error of a server that keeps no facts.
var errNoState = errors.New("server.state is not set, so that mxtrap keeps no sightings; set it to a folder")

// OpenBook reads the facts that a server has written into its folder of state. It writes nothing. The error may be that there is no folder.
func OpenBook(folder string, rules judge.Rules) (*judge.Book, error) {
	if folder == "" {
		return nil, errNoState
	}
	b := judge.NewBook(rules)
	facts, pardons := filesIn(folder)
	if _, err := b.Read(facts, time.Now().Unix()); err != nil {
		return nil, err
	}
	b.Missed(time.Now().Unix())
	b.Forget(time.Now().Unix())
	return b, b.ReadPardons(pardons)
}

// Pardon notes in a folder of state the operator's word that what the clients of a prefix have done is forgiven. A running server hears of it
// at the next reload.
func Pardon(folder string, p netip.Prefix, now time.Time) error {
	if folder == "" {
		return errNoState
	}
	_, pardons := filesIn(folder)
	return judge.AppendPardon(pardons, judge.Pardon{At: now.Unix(), For: p})
}
