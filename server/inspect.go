package server

import (
	"context"
	"log/slog"
	"runtime"
	"slices"
	"strings"

	"mxtrap/metrics"
	"mxtrap/zone"
	"mxtrap/zone/conf"
)

// Inspect loads everything as a server would, and serves nothing; the zones are sorted by name. Hosts outside the zones are looked up only where that is asked for.
func Inspect(ctx context.Context, c *Config, resolve bool, progress Progress) ([]*zone.Zone, []conf.Problem) {
	r := newResolver(c.Resolvers, metrics.New(1, "", ""), slog.New(slog.DiscardHandler))
	loader := loader{look: r.known, progress: progress, threads: runtime.GOMAXPROCS(0), copies: newCopies(c.state), numbers: newNumbering(c.state), keys: &c.transfers}
	l := loader.load(c, nil)
	if resolve {
		var hosts []string
		for f := range l.files.all() {
			hosts = append(hosts, f.zone.Lookups()...)
		}
		r.want(hosts)
		r.lookUp(ctx, hosts)
		l = loader.load(c, nil)
		for host, why := range r.unknown() {
			l.report.Add(conf.Problem{File: c.name(), Text: host, Reason: "cannot be looked up: its exchange would be served as written, and no decoy leads to it: " + why, Warning: true})
		}
	}
	var zones []*zone.Zone
	for f := range l.files.all() {
		if f.down == "" {
			zones = append(zones, f.zone)
			continue
		}
		l.report.Add(conf.Problem{File: f.path, Text: f.zone.Name(), Reason: "is answered with SERVFAIL until its primary is heard: " + f.down, Warning: true})
	}
	slices.SortFunc(zones, func(a, b *zone.Zone) int { return strings.Compare(a.Name(), b.Name()) })
	return zones, l.report.Problems()
}

// unknown are the hosts that have no address yet, and why.
func (r *resolver) unknown() map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	hosts := map[string]string{}
	for host, h := range r.hosts {
		if h.addrs == nil && h.err != nil {
			hosts[host] = h.err.Error()
		}
	}
	return hosts
}

// name is what the server file is called in messages.
func (c *Config) name() string {
	if c.Path == "" {
		return "the example"
	}
	return c.Path
}

// Example is the configuration that is served where the operator gives none.
func Example() *Config {
	var report conf.Report
	return parseConfig("", nil, &report)
}
