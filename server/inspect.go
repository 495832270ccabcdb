package server

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"mxtrap/metrics"
	"mxtrap/server/keyring"
	"mxtrap/server/load"
	"mxtrap/server/resolve"
	"mxtrap/server/state"
	"mxtrap/server/transfer"
	"mxtrap/zone"
	"mxtrap/zone/conf"
	"mxtrap/zone/dname"
	"mxtrap/zone/sign"
	"mxtrap/zone/source"
	"mxtrap/zone/trap"
)

// Inspection is what a load without serving comes to.
type Inspection struct {
	Zones    []*zone.Zone      // that can be served, by name
	Keyless  []dname.Name      // zones that are to be signed and have no key
	Down     map[string]string // the others, by name, with the reason
	Known    trap.Lookups      // what has been looked up
	Problems []conf.Problem
}

// Inspect loads everything as a server would, and serves nothing. Hosts outside the zones are looked up only where that is asked for.
func Inspect(ctx context.Context, c *Config, lookUp bool, progress load.Progress) *Inspection {
	r := resolve.New(c.Resolvers, metrics.New(1, "", ""), slog.New(slog.DiscardHandler))
	loader := load.Loader{
		Tempo: transfer.RealTime, Sources: c.sources, Look: r.Known, Progress: progress, Threads: runtime.GOMAXPROCS(0),
		Copies: state.NewCopies(c.state), Updates: state.NewUpdates(c.state), Numbers: state.NewNumbering(c.state), Keys: &c.transfers, Waited: state.ReadWaiting(c.state), Signs: c.DNSSEC, Ring: keyring.New(c.DNSSEC, nil),
	}
	if c.list.Zone != "" {
		loader.List = &load.List{Zone: c.list.Zone, Serial: 1} // whoever is in it, it can be served, or not
	}
	l := loader.Load(ctx, nil)
	if lookUp {
		var hosts []string
		for f := range l.Files.All() {
			hosts = append(hosts, f.Zone.Lookups()...)
		}
		r.Want(hosts)
		r.LookUp(ctx, hosts)
		l = loader.Load(ctx, nil)
		for host, why := range r.Unknown() {
			l.Report.Add(conf.Problem{File: c.name(), Text: host, Reason: "cannot be looked up; mxtrap would serve its exchange as written, without decoys: " + why, Warning: true})
		}
	}
	c.checkState(loader.Numbers, l)
	if lookUp {
		c.checkParents(ctx, l, loader.Ring)
	}
	if c.catch.On() {
		c.checkCatch(ctx, l, r, lookUp)
	}
	in := &Inspection{Down: map[string]string{}, Known: r.Known, Keyless: loader.Ring.Keyless()}
	for f := range l.Files.All() {
		switch f.Down {
		case "":
			if f.Path == load.ListPath {
				continue
			}
			in.Zones = append(in.Zones, f.Zone)
			continue
		case load.Unloaded: // the report says why
		case load.Unreadable:
			l.Report.Add(conf.Problem{File: f.Path, Text: f.Zone.Name(), Reason: f.Down + "; this account cannot tell whether the zone is served", Warning: true})
		default:
			l.Report.Add(conf.Problem{File: f.Path, Text: f.Zone.Name(), Reason: "is answered with SERVFAIL until its primary answers: " + f.Down, Warning: true})
		}
		in.Down[f.Zone.Name()] = f.Down
	}
	slices.SortFunc(in.Zones, func(a, b *zone.Zone) int { return strings.Compare(a.Name(), b.Name()) })
	in.Problems = l.Report.Problems()
	return in
}

// checkParents warns of signed zones whose parents have DS records that fit no key: validating resolvers refuse those zones.
func (c *Config) checkParents(ctx context.Context, l *load.Loading, ring *keyring.Ring) {
	for f := range l.Files.All() {
		keys, err := ring.Of(dname.Name(f.Zone.Apex()))
		if f.Zone.Plan() == nil || err != nil {
			continue
		}
		var parent sign.Parent
		parent.DS, parent.TTL, parent.Err = resolve.DS(ctx, c.Resolvers, f.Zone.Name())
		if s, err := sign.StatusOf(keys, parent, time.Now().Unix()); err == nil && s.Stage == sign.Broken {
			l.Report.Add(conf.Problem{File: f.Path, Key: "dnssec", Text: f.Zone.Name(), Reason: s.Says + "; mxtrap key ds prints it", Warning: true})
		}
	}
}

// checkCatch warns of real exchanges that the catch cannot judge, and of addresses that no decoy has.
func (c *Config) checkCatch(ctx context.Context, l *load.Loading, r *resolve.Resolver, lookUp bool) {
	found := sitesOf(ctx, l.Set.Zones(), r.Known)
	if lookUp && found != nil && len(found.lookedUp) > 0 {
		r.Want(found.lookedUp)
		r.LookUp(ctx, found.lookedUp)
		found = sitesOf(ctx, l.Set.Zones(), r.Known)
	}
	if found == nil {
		return
	}
	warn := func(key, text, reason string) {
		l.Report.Add(conf.Problem{File: c.name(), Key: key, Text: text, Reason: reason, Warning: true})
	}
	for _, a := range c.catch.Listen {
		if found.Of(a.Addr()) == nil && !a.Addr().IsUnspecified() {
			warn("catch.listen", a.String(), "no decoy has this address, so that the catch refuses everybody there; list it in trap.addresses of a zone")
		}
	}
	if c.list.Lists && !c.list.Senses() {
		warn("list", "", "neither list.policy nor list.log is set: mxtrap does not know who comes to real hosts, and lists clients on the grounds 2 and 5 alone")
	}
	remedy := "check --resolve looks it up"
	if lookUp {
		remedy = "its name has no address that the resolver knows"
	}
	told := map[string]bool{}
	for _, g := range found.groups {
		for _, e := range g.Exchanges {
			if len(e.Addresses) == 0 && !told[e.Zone+" "+e.Host] {
				told[e.Zone+" "+e.Host] = true
				warn("catch", e.Host, "the catch cannot judge this real exchange of "+e.Zone+", so that no visit to its decoys is evidence: "+remedy)
			}
		}
	}
}

// checkState warns of serial numbers that may go back with the next start.
func (c *Config) checkState(n *state.Numbering, l *load.Loading) {
	secondaries := len(c.transfers.Allow) > 0
	for f := range l.Files.All() {
		secondaries = secondaries || f.Access != nil && len(f.Access.Allow) > 0
	}
	file, err := n.Unreadable()
	switch {
	case err != nil:
		l.Report.Add(conf.Problem{File: file, Reason: "this account cannot read the serial numbers that were served: " + conf.Plain(err).Error(), Warning: true})
	case c.state == "" && c.updates.On():
		l.Report.Add(conf.Problem{
			File: c.name(), Key: "update.allow", Warning: true,
			Reason: "server.state is not set: mxtrap takes no dynamic update, for it could not keep it; set server.state to a folder",
		})
	case c.state == "" && secondaries:
		l.Report.Add(conf.Problem{
			File: c.name(), Key: "transfer.allow", Warning: true,
			Reason: "server.state is not set: after a restart a serial number may be lower than that of the secondaries, which then keep old content; set server.state to a folder",
		})
	}
}

// name is what the server file is called in messages.
func (c *Config) name() string {
	if c.path == "" {
		return "the example"
	}
	return c.path
}

// Example is the configuration that is served where the operator gives none.
func Example() *Config {
	var report conf.Report
	return parseConfig("", nil, &report)
}

// stateOfService is the folder of the documented systemd unit, which has its path in $STATE_DIRECTORY. A command typed in a shell has no such variable.
const stateOfService = "/var/lib/mxtrap"

// configOfService is the server file of the documented systemd unit.
const configOfService = "/etc/mxtrap/mxtrap.toml"

// UseStateOfService has a command look where the service keeps its state and the keys of zones, if the server file is the service's, names no
// folder, and there is one.
func (c *Config) UseStateOfService() {
	if path, err := filepath.Abs(c.path); err != nil || path != configOfService || c.state != "" {
		return
	}
	if _, err := os.Lstat(stateOfService); err == nil {
		c.state = stateOfService
		c.DNSSEC.UseState(c.state)
	}
}

// ZoneNames are those of the zones of a server file that begin with a text, for a shell to complete.
func ZoneNames(path, begin string) []string {
	c := Example()
	if path != "" {
		c = CheckConfig(path, &conf.Report{Quiet: true})
	}
	if c == nil {
		return nil
	}
	return c.sources.Names(begin)
}

// ControlOf is the socket of the operator's commands that a server file names, even one that has faults at the moment, or secrets that this
// account may not read; "" where that cannot be told, and the report says why.
func ControlOf(path string, report *conf.Report) string {
	if path == "" {
		return Example().Control()
	}
	if c := CheckConfig(path, &conf.Report{Quiet: true}); c != nil {
		return c.Control()
	}
	text, err := source.ReadText(path)
	if value, ok := conf.Glimpse(text, "control"); err == nil && ok {
		return (&Config{path: path}).beside(value)
	}
	if whole, err := filepath.Abs(path); err == nil && whole == configOfService {
		return socketOfService
	}
	CheckConfig(path, report)
	return ""
}

// MetricsOf is the HTTP address that a server file names, even one that is no TOML at the moment: the running server has read an earlier version.
func MetricsOf(path string) netip.AddrPort {
	var report conf.Report
	if c := CheckConfig(path, &report); c != nil {
		return c.Metrics
	}
	text, _ := source.ReadText(path)
	if value, ok := conf.Glimpse(text, "metrics"); ok {
		addr, _ := parseAddress(value)
		return addr
	}
	return Example().Metrics
}
