package server

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"mxtrap/server/answer"
	"mxtrap/server/catch"
	"mxtrap/server/judge"
	"mxtrap/server/keyring"
	"mxtrap/server/list"
	"mxtrap/server/load"
	"mxtrap/server/peer"
	"mxtrap/server/resolve"
	"mxtrap/server/share"
	"mxtrap/server/tap"
	"mxtrap/server/update"
	"mxtrap/zone/conf"
	"mxtrap/zone/source"
)

// Config is a server file: every value right by itself.
type Config struct {
	path        string // of the file; "" for the embedded example
	Listen      []netip.AddrPort
	listenOn    bool           // Listen stands whatever the server file says
	Metrics     netip.AddrPort // not valid: no HTTP
	Resolvers   []string       // host:port; empty: those of /etc/resolv.conf
	nsid        string
	chaos       bool // answer version.bind and id.server
	workers     int  // per UDP address; 0: one per CPU
	zoneMetrics bool
	user        string // that the process becomes once its sockets are open; "": it stays who it is
	page        bool   // is shown at the metrics address
	pageSaid    bool   // because the server file says so
	control     string // the socket of the operator's commands; "": none
	state       string // the folder of what must outlive the process; "": none
	tap         tap.Config
	transfers   peer.Access
	updates     update.Config
	rateLimit   answer.RateLimit
	cookies     answer.Cookies
	DNSSEC      keyring.Config
	catch       catch.Config
	list        list.Config
	share       share.Config
	logLevel    slog.Level
	logJSON     bool
	logQueries  int64 // one query in so many is logged; 0: none

	sources load.Sources
}

// maxWorkers bounds the sockets of one address.
const maxWorkers = 256

// maxNSID keeps the NSID option small beside the answer.
const maxNSID = 128

// ReadConfig reads a server file. It returns nil, and has reported why, where that is not possible.
func ReadConfig(path string, report *conf.Report) *Config {
	before := report.Faults()
	if c := CheckConfig(path, report); report.Faults() == before {
		return c
	}
	return nil
}

// CheckConfig is ReadConfig that returns what can be read of a file with faults, so that one run tells those of the zones too.
func CheckConfig(path string, report *conf.Report) *Config {
	text, err := source.ReadText(path)
	if err != nil {
		report.Add(conf.Problem{File: path, Reason: conf.Plain(err).Error()})
		return nil
	}
	return parseConfig(path, text, report)
}

func parseConfig(path string, text []byte, report *conf.Report) *Config {
	t := conf.Parse(path, text, report)
	if t == nil {
		return nil
	}
	c := &Config{
		path: path, chaos: true, zoneMetrics: true,
		Listen:  []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:5353")},
		Metrics: netip.MustParseAddrPort("127.0.0.1:9153"),
	}
	c.catch = catch.ConfigOf(t.Table("catch"))
	server := t.Table("server")
	c.sources = load.SourcesOf(path, server, t.Table("catalog"))
	c.readServer(server)
	c.rateLimit = answer.LimitOf(t.Table("rate_limit"))
	c.cookies = answer.CookiesOf(t.Table("cookies").Secret(), c.beside)
	c.transfers = peer.AccessOf(t.Table("keys").Secret(), t.Table("transfer"), c.beside)
	c.updates = update.ConfigOf(t.Table("update"), &c.transfers)
	c.tap = tap.ConfigOf(t.Table("dnstap"), c.beside)
	c.DNSSEC = keyring.ConfigOf(t.Table("dnssec"), c.beside, c.state)
	c.list = list.ConfigOf(t.Table("list"), c.beside)
	shared := t.Table("share").Secret()
	if c.share = share.ConfigOf(shared, c.beside); c.share.On() && c.state == "" {
		shared.Fault("redis", "", "needs server.state, where this server keeps what others have told, and who it is")
	}
	c.readLog(t.Table("log"))
	t.Close()
	return c
}

func (c *Config) readServer(t *conf.Table) {
	if t.Has("listen") {
		c.Listen = nil
		for _, item := range t.Strings("listen") {
			addr, err := parseAddress(item.Text)
			switch {
			case err != nil:
				item.Fault(err.Error())
			case slices.Contains(c.Listen, addr):
				item.Fault("is listed twice")
			default:
				c.Listen = append(c.Listen, addr)
			}
		}
		if len(t.Strings("listen")) == 0 && !c.catch.On() {
			t.Fault("listen", "", "lists no address")
		}
	}
	if t.Has("metrics") {
		var text string
		t.String("metrics", &text)
		c.Metrics = netip.AddrPort{}
		if text != "" {
			var err error
			if c.Metrics, err = parseAddress(text); err != nil {
				t.Fault("metrics", text, err.Error())
			}
		}
	}
	c.page, c.pageSaid = c.Metrics.IsValid() && c.Metrics.Addr().IsLoopback(), t.Has("page")
	t.Bool("page", &c.page)
	c.Resolvers = resolve.ServersOf(t)
	state := os.Getenv("STATE_DIRECTORY") // systemd's StateDirectory=
	t.String("state", &state)
	c.state = c.beside(state)
	if run := os.Getenv("RUNTIME_DIRECTORY"); run != "" { // systemd's RuntimeDirectory=
		c.control = filepath.Join(run, "control.sock")
	}
	t.String("control", &c.control)
	c.control = c.beside(c.control)
	t.String("user", &c.user)
	if t.String("nsid", &c.nsid); len(c.nsid) > maxNSID {
		t.Fault("nsid", "", fmt.Sprintf("longer than %d octets", maxNSID))
	}
	var workers int64
	t.Int("workers", 0, maxWorkers, &workers)
	c.workers = int(workers)
	t.Bool("chaos", &c.chaos)
	t.Bool("zone_metrics", &c.zoneMetrics)
	t.Close()
}

// beside is a path that the server file names, relative to that file.
func (c *Config) beside(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(c.path), path)
}

func (c *Config) readLog(t *conf.Table) {
	level, format := "info", "text"
	if t.String("level", &level); !slices.Contains([]string{"debug", "info", "warn", "error"}, level) {
		t.Fault("level", level, "must be debug, info, warn or error")
	} else {
		c.logLevel.UnmarshalText([]byte(level))
	}
	if t.String("format", &format); format != "text" && format != "json" {
		t.Fault("format", format, "must be text or json")
	}
	c.logJSON = format == "json"
	t.Int("queries", 0, 1_000_000_000, &c.logQueries)
	t.Close()
}

func parseAddress(s string) (netip.AddrPort, error) {
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		return a, fmt.Errorf(`not an address with a port: write "192.0.2.53:53" or "[2001:db8::53]:53" ("0.0.0.0:53" and "[::]:53" are all addresses)`)
	}
	return a, nil
}

// ListenOn replaces the addresses that DNS is served on, for reloads too.
func (c *Config) ListenOn(addresses []string) error {
	c.Listen, c.listenOn = nil, true
	for _, text := range addresses {
		addr, err := parseAddress(text)
		if err != nil {
			return fmt.Errorf("%q: %w", text, err)
		}
		c.Listen = append(c.Listen, addr)
	}
	return nil
}

// Reachable is an address at which a listener on this one can be reached from the same host.
func Reachable(a netip.AddrPort) netip.AddrPort {
	switch {
	case !a.Addr().IsUnspecified():
		return a
	case a.Addr().Is4():
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), a.Port())
	}
	return netip.AddrPortFrom(netip.IPv6Loopback(), a.Port())
}

// Lists says whether the list may be used, and is not just to be looked at.
func (c *Config) Lists() bool { return c.list.Lists }

// Senses says whether mail hosts tell who comes to them.
func (c *Config) Senses() bool { return c.list.Senses() }

// rules are those by which facts are judged.
func (c *Config) rules() judge.Rules { return c.list.Rules(c.catch.Keep) }

// OpenBook reads the facts that a server with this configuration has written. It writes nothing.
func (c *Config) OpenBook() (*judge.Book, error) { return list.OpenBook(c.state, c.rules()) }

// Pardon notes the operator's word that what the clients of a prefix have done is forgiven. A running server hears of it at the next reload.
func (c *Config) Pardon(p netip.Prefix) error { return list.Pardon(c.state, p, time.Now()) }

// ReadsState says whether facts are to be read in the folder that the server file names, and not asked of the server: it names no socket, so that
// the one that answers may be another server's.
func (c *Config) ReadsState() bool { return c.control == "" && c.state != "" && !c.share.On() }

// Shares says whether the list is that of a fleet, which its servers alone know.
func (c *Config) Shares() bool { return c.share.On() && c.list.Lists }

// socketOfService is that of the documented systemd unit.
const socketOfService = "/run/mxtrap/control.sock"

// Control is the socket of a server with this configuration, as a command typed in a shell finds it: that of the service, where the server file
// names none.
func (c *Config) Control() string { return cmp.Or(c.control, socketOfService) }
