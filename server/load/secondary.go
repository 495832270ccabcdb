package load

import (
	"errors"
	"io/fs"
	"time"

	"github.com/miekg/dns"

	"mxtrap/server/peer"
	"mxtrap/server/state"
	"mxtrap/server/transfer"
	"mxtrap/zone/conf"
	"mxtrap/zone/rr"
	"mxtrap/zone/source"
)

// Why a zone that comes from a primary cannot be answered.
const (
	noCopy     = "there is no copy of it yet"
	expired    = "its copy has expired"
	Unreadable = "its copy cannot be read by this user"
	unfit      = "its copy cannot be served with its trap"
)

// secondary makes a zone ready that comes from a primary: out of its copy, with the trap on top.
func (o Loader) secondary(source *source.Zone, path string, before *File, report *conf.Report) *File {
	primaries, ok := o.primaries(source.Primary(), report)
	if !ok {
		return nil
	}
	name := source.Name()
	from := &transfer.Secondary{Name: name, Path: path, Text: source.Text(), Primaries: primaries}
	if source.Member() {
		from.Template = source.Path
	}
	f := &File{Path: path, files: source.Files(), Secondary: from, Template: source.Template(), Hidden: source.Template() != ""}
	records, confirmed, err := o.copy(name)
	if err != nil && !errors.Is(err, state.ErrNoCopy) && !errors.Is(err, state.ErrExpired) && !errors.Is(err, fs.ErrPermission) {
		report.Add(conf.Problem{File: o.Copies.File(name), Reason: err.Error() + "; mxtrap fetches the zone again", Warning: true})
	}
	switch {
	case errors.Is(err, state.ErrExpired):
		return o.stub(f, source, before, expired)
	case err != nil && before != nil && before.Down == "" && before.Secondary != nil && before.Zone.Name() == name:
		// What became of the copy takes nothing out of service: it is served on as it is, until it expires or the whole zone has come.
		from.Soa, from.Confirmed, from.Lost = before.Secondary.Soa, before.Secondary.Confirmed, true
		again := *before
		again.Secondary = from
		return &again
	case errors.Is(err, fs.ErrPermission):
		return o.stub(f, source, before, Unreadable)
	case err != nil:
		return o.stub(f, source, before, noCopy)
	}
	source.TakeCopy(records)
	soa := source.CopiedSOA()
	if soa == nil {
		return o.stub(f, source, before, noCopy)
	}
	if o.arrived == nil && !confirmed.IsZero() && time.Now().After(confirmed.Add(o.Tempo.Expiry(soa))) {
		return o.stub(f, source, before, expired)
	}
	o.prepare(f, source)
	z := source.Compile(o.Look, report)
	switch {
	case z == nil && o.arrived == nil && before == nil:
		return o.stub(f, source, before, unfit) // the primary may have another version by now
	case z == nil:
		return nil
	}
	from.Soa, from.Confirmed = soa, confirmed
	o.serve(f, source, z, before, report)
	return f
}

// copy is the copy that has just come, or the one that is kept.
func (o Loader) copy(name string) ([]rr.Record, time.Time, error) {
	if o.arrived != nil && o.arrived.Name == name {
		if o.arrived.Records == nil {
			return nil, time.Time{}, state.ErrExpired
		}
		return o.arrived.Records, time.Now(), nil
	}
	return o.Copies.Read(name)
}

// stub puts in the place of a zone one that is not answered.
func (o Loader) stub(f *File, source *source.Zone, before *File, why string) *File {
	f.Zone, f.Down, f.served = source.Stub(), why, before.last(source.Name())
	return f
}

// primaries reads where a zone comes from.
func (o Loader) primaries(p *source.Primary, report *conf.Report) (peers []peer.Peer, ok bool) {
	ok = true
	var k *peer.Key
	if p.TSIG.Text != "" {
		if k = o.Keys.Keys[dns.CanonicalName(p.TSIG.Text)]; k == nil {
			report.Add(p.TSIG.Problem("no such key; add it to [keys] in the server file"))
			ok = false
		}
	}
	for _, item := range p.Address {
		one, err := o.Keys.ParsePeer(item.Text)
		if err == nil && (!one.Prefix.IsSingleIP() || one.Key != nil) {
			err = errors.New("write an address alone, such as 192.0.2.1 or 192.0.2.1:5353; primary.tsig names the key")
		}
		if errors.Is(err, peer.ErrNotPeer) {
			err = errors.New(`not an address: write "192.0.2.1", "192.0.2.1:5353" or "[2001:db8::1]:5353"; a host's name would have to be looked up`)
		}
		if err != nil {
			report.Add(item.Problem(err.Error()))
			ok = false
		}
		one.Key = k
		peers = append(peers, one)
	}
	return peers, ok
}
