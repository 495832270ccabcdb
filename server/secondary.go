package server

import (
	"errors"
	"io/fs"
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
