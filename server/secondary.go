package server

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"mxtrap/zone"
	"mxtrap/zone/conf"
)

// Why a zone that comes from a primary cannot be answered.
const (
	noCopy  = "there is no copy of it yet"
	expired = "its copy has expired"
)

// secondary makes a zone ready that comes from a primary: out of its copy, with the trap on top.
func (o loader) secondary(source *zone.Source, before *zoneFile, report *conf.Report) *zoneFile {
	primaries, ok := o.primaries(source.Primary(), report)
	if o.copies == "" {
		report.Add(source.Primary().Address[0].Problem("the copy of the zone needs a place: name a folder as server.state in the server file"))
	}
	if !ok || o.copies == "" {
		return nil
	}
	if !o.dry {
		if err := os.MkdirAll(string(o.copies), 0o700); err != nil {
			report.Add(conf.Problem{File: string(o.copies), Reason: "the folder of copies cannot be made: " + conf.Plain(err).Error()})
			return nil
		}
	}
	name := source.Name()
	from := &secondary{name: name, path: source.Path, primaries: primaries}
	if source.Member() {
		from.template, from.path = source.Path, memberPath(source.Path, name)
	}
	f := &zoneFile{path: from.path, files: source.Files(), secondary: from, template: source.Template(), hidden: source.Template() != ""}
	if _, err := os.Stat(o.copies.file(name)); errors.Is(err, fs.ErrNotExist) {
		f.zone, f.down = source.Stub(), noCopy
		return f
	}
	source.TakeCopy(o.copies.file(name), report)
	f.files = source.Files()
	soa := source.CopiedSOA()
	if soa != nil && time.Now().After(o.copies.confirmed(name).Add(seconds(soa.Expire))) {
		f.zone, f.down = source.Stub(), expired
		return f
	}
	z := source.Compile(o.look, report)
	if z == nil {
		return nil
	}
	z, err := o.copies.number(source, z, o.look, o.dry)
	if err != nil {
		report.Add(conf.Problem{File: o.copies.note(name), Reason: "the version that is served cannot be noted: " + err.Error(), Warning: true})
	}
	f.zone, f.secondary.soa = z, soa
	if len(z.Lookups()) > 0 {
		f.source = source
	}
	o.follow(f, before)
	return f
}

// primaries reads where a zone comes from.
func (o loader) primaries(p *zone.Primary, report *conf.Report) (peers []peer, ok bool) {
	ok = true
	var k *key
	if p.TSIG.Text != "" {
		if k = o.keys.keys[dns.CanonicalName(p.TSIG.Text)]; k == nil {
			report.Add(p.TSIG.Problem("no such key: write it into the table [keys] of the server file"))
			ok = false
		}
	}
	for _, item := range p.Address {
		one, err := o.keys.parsePeer(item.Text)
		if err == nil && (!one.prefix.IsSingleIP() || one.key != nil) {
			err = errors.New(`not one address: write "192.0.2.1" or "192.0.2.1:5353"; a key is named as primary.tsig`)
		}
		if err != nil {
			report.Add(item.Problem(err.Error()))
			ok = false
		}
		one.key = k
		peers = append(peers, one)
	}
	return peers, ok
}

// takeCopies takes in what has come from primaries: the first copy, and those that wait behind it.
func (s *Server) takeCopies(first newCopy) {
	copies := []newCopy{first}
	for waiting := true; waiting; {
		select {
		case u := <-s.refresher.updates:
			copies = append(copies, u)
		default:
			waiting = false
		}
	}
	l, catalog := &loading{files: s.files.clone()}, false
	for _, u := range copies {
		f := s.takeCopy(u)
		if f != nil {
			l.files.put(f)
			catalog = catalog || f.template != ""
		}
		if u.taken != nil {
			defer func() { u.taken <- f != nil }() // who fetches reads on in what is published
		}
	}
	l.unite()
	s.publish(s.config, l)
	if catalog {
		s.reload() // its members may be others
	}
}

// takeCopy makes a zone ready that has a new copy, or that has expired. It returns nil for a copy that cannot be served with its trap:
// what was served before is served on, until it expires.
func (s *Server) takeCopy(u newCopy) *zoneFile {
	before := s.files.get(u.path)
	if before == nil || before.secondary == nil {
		return nil // the files have changed meanwhile
	}
	report := conf.Report{Quiet: true}
	if u.file != "" {
		if source := u.source(&report); source != nil && source.Primary() != nil {
			source.TakeCopy(u.file, &report)
			source.Compile(s.resolver.known, &report)
		}
		if report.Faults() > 0 {
			s.logProblems(report.Problems())
			s.Log.Error("a zone from its primary cannot be served: what there was is served on until it expires", "zone", u.name)
			return nil
		}
		if err := s.config.state.commit(u.name); err != nil {
			s.Log.Error("the copy of a zone cannot be kept", "zone", u.name, "error", err)
			return nil
		}
		if err := s.config.state.confirm(u.name, time.Now()); err != nil {
			s.Log.Error("it cannot be noted that a primary was heard", "zone", u.name, "error", err)
		}
	}
	f := s.loader(s.config).compile(u.source(&report), before, &report)
	s.logProblems(report.Problems())
	if f == nil {
		return nil
	}
	f.catalog = before.catalog
	if f.down == "" {
		s.Log.Info("a zone came from its primary", "zone", u.name, "serial", f.zone.Serial(), "primary", f.secondary.soa.Serial)
	}
	return f
}

// loader is what loads of a running server depend on.
func (s *Server) loader(c *Config) loader {
	return loader{
		look: s.resolver.known, progress: s.Progress, threads: max(1, s.processors/2), // the others answer
		history: len(c.transfers.allow) > 0, copies: c.state, keys: &c.transfers,
	}
}

// notify takes a NOTIFY (RFC 1996), from a primary of the zone alone.
func (r *responder) notify(q *query, sig *signature, c client, snap *snapshot) (rcode int) {
	if len(snap.secondaries) == 0 {
		return dns.RcodeNotImplemented
	}
	name, _, err := dns.UnpackDomainName(q.Name.Wire(), 0)
	if err != nil {
		return dns.RcodeFormatError
	}
	s, ok := snap.secondaries[strings.TrimSuffix(name, ".")]
	if !ok {
		return dns.RcodeNotAuth
	}
	if !slices.ContainsFunc(s.primaries, func(p peer) bool { return p.prefix.Addr() == c.addr && (p.key == nil || p.key.same(sig.verified())) }) {
		return dns.RcodeRefused
	}
	snap.notified(s.name)
	return dns.RcodeSuccess
}
