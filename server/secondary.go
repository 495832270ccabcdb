package server

import (
	"errors"
	"io/fs"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"

	"mxtrap/zone"
	"mxtrap/zone/conf"
	"mxtrap/zone/rr"
)

// Why a zone that comes from a primary cannot be answered.
const (
	noCopy     = "there is no copy of it yet"
	expired    = "its copy has expired"
	unreadable = "its copy cannot be read by this user"
	unfit      = "its copy cannot be served with its trap"
)

// secondary makes a zone ready that comes from a primary: out of its copy, with the trap on top.
func (o loader) secondary(source *zone.Source, path string, before *zoneFile, report *conf.Report) *zoneFile {
	primaries, ok := o.primaries(source.Primary(), report)
	if !ok {
		return nil
	}
	name := source.Name()
	from := &secondary{name: name, path: path, text: source.Text(), primaries: primaries}
	if source.Member() {
		from.template = source.Path
	}
	f := &zoneFile{path: path, files: source.Files(), secondary: from, template: source.Template(), hidden: source.Template() != ""}
	records, confirmed, err := o.copy(name)
	if err != nil && !errors.Is(err, errNoCopy) && !errors.Is(err, errExpired) && !errors.Is(err, fs.ErrPermission) {
		report.Add(conf.Problem{File: o.copies.file(name), Reason: err.Error() + ": the zone is fetched again", Warning: true})
	}
	switch {
	case errors.Is(err, errExpired):
		return o.stub(f, source, before, expired)
	case err != nil && before != nil && before.down == "" && before.secondary != nil && before.zone.Name() == name:
		// What became of the copy takes nothing out of service: it is served on as it is, until it expires or the whole zone has come.
		from.soa, from.confirmed, from.lost = before.secondary.soa, before.secondary.confirmed, true
		again := *before
		again.secondary = from
		return &again
	case errors.Is(err, fs.ErrPermission):
		return o.stub(f, source, before, unreadable)
	case err != nil:
		return o.stub(f, source, before, noCopy)
	}
	source.TakeCopy(records)
	soa := source.CopiedSOA()
	if soa == nil {
		return o.stub(f, source, before, noCopy)
	}
	if o.arrived == nil && !confirmed.IsZero() && time.Now().After(confirmed.Add(expiry(soa))) {
		return o.stub(f, source, before, expired)
	}
	z := source.Compile(o.look, report)
	switch {
	case z == nil && o.arrived == nil && before == nil:
		return o.stub(f, source, before, unfit) // the primary may have another version by now
	case z == nil:
		return nil
	}
	from.soa, from.confirmed = soa, confirmed
	o.serve(f, source, z, before, report)
	return f
}

// copy is the copy that has just come, or the one that is kept.
func (o loader) copy(name string) ([]rr.Record, time.Time, error) {
	if o.arrived != nil && o.arrived.name == name {
		if o.arrived.records == nil {
			return nil, time.Time{}, errExpired
		}
		return o.arrived.records, time.Now(), nil
	}
	return o.copies.read(name)
}

// stub puts in the place of a zone one that is not answered.
func (o loader) stub(f *zoneFile, source *zone.Source, before *zoneFile, why string) *zoneFile {
	f.zone, f.down, f.served = source.Stub(), why, before.last(source.Name())
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
			err = errors.New("a key is named as primary.tsig, and an address alone: 192.0.2.1 or 192.0.2.1:5353")
		}
		if errors.Is(err, errNotPeer) {
			err = errors.New(`not an address: write "192.0.2.1", "192.0.2.1:5353" or "[2001:db8::1]:5353"; a host's name would have to be looked up`)
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

// loader is what loads of a running server depend on.
func (s *Server) loader(c *Config) loader {
	return loader{
		look: s.resolver.known, progress: s.Progress, threads: max(1, s.processors/2), // the others answer
		history: len(c.transfers.allow) > 0, copies: s.copiesIn(c.state), numbers: newNumbering(c.state), keys: &c.transfers, waited: s.waiting,
	}
}

// copiesIn are the copies in the folder of the configuration: those before, where that is the same.
func (s *Server) copiesIn(folder string) *copies {
	if s.copies == nil || s.copies.folder != folder {
		s.copies = newCopies(folder)
	}
	return s.copies
}

// notify takes a NOTIFY (RFC 1996): from an address of a primary, or, where the zone has a key, from whoever signs with that.
func (r *responder) notify(q *query, sig *signature, c client, snap *snapshot) (rcode int) {
	if len(snap.secondaries) == 0 {
		return dns.RcodeNotImplemented
	}
	name := zone.NameOf(q.Name.Wire())
	s, ok := snap.secondaries[name]
	if !ok {
		snap.refused(name, c.addr)
		return dns.RcodeNotAuth
	}
	known := func(p peer) bool {
		if p.key != nil {
			return p.key.same(sig.verified())
		}
		return p.prefix.Addr() == c.addr
	}
	if !slices.ContainsFunc(s.primaries, known) {
		snap.refused(name, c.addr)
		return dns.RcodeRefused
	}
	snap.notified(s.name)
	return dns.RcodeSuccess
}

// takeNotify counts a NOTIFY, and has its zone looked at.
func (s *Server) takeNotify(zone string) {
	s.metrics.Notifies.WithLabelValues("taken").Inc()
	s.refresher.notified(zone)
}

// refusalsTold is how many refused NOTIFYs the log tells of in a minute: anybody can send them.
const refusalsTold = 5

// refuseNotify counts a NOTIFY that is not taken, and tells of the first ones of each minute.
func (s *Server) refuseNotify(zone string, from netip.Addr) {
	s.metrics.Notifies.WithLabelValues("refused").Inc()
	if s.refusals.allow(time.Now()) {
		s.Log.Warn("a NOTIFY is refused: it comes from no primary of the zone, and is not signed with the zone's key", "zone", zone, "client", from)
	}
}

// perMinute lets so many things pass in a minute.
type perMinute struct {
	mu     sync.Mutex
	minute int64
	count  int
}

func (p *perMinute) allow(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if minute := now.Unix() / 60; minute != p.minute {
		p.minute, p.count = minute, 0
	}
	p.count++
	return p.count <= refusalsTold
}
