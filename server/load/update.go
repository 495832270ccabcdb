package load

import (
	"errors"
	"fmt"
	"slices"

	"mxtrap/zone"
	"mxtrap/zone/conf"
	"mxtrap/zone/dname"
	"mxtrap/zone/rdata"
	"mxtrap/zone/source"
)

// takesUpdates says whether updates may change a zone of a source: it has files of its own.
func takesUpdates(s *source.Zone) bool {
	return s.Primary() == nil && s.Template() == "" && !s.Member()
}

// compileUpdated compiles a zone with the updates that are kept of it, but for those that do not go with what the operator has written since.
func (o Loader) compileUpdated(f *File, s *source.Zone, report *conf.Report) *zone.Zone {
	if !takesUpdates(s) {
		return s.Compile(o.Look, report)
	}
	sets, err := o.Updates.Of(s.Name())
	if err != nil {
		report.Add(conf.Problem{File: o.Updates.File(s.Name()), Reason: "cannot read the dynamic updates of the zone, which is served without them: " + err.Error()})
	}
	if o.Updated || len(sets) > 0 {
		f.keepText(s)
	}
	if s.Update(sets); len(sets) == 0 {
		return s.Compile(o.Look, report)
	}
	f.updates = sets
	with := conf.Report{Quiet: report.Quiet}
	if z := s.Compile(o.Look, &with); z != nil {
		report.Join(&with)
		return z
	}
	served := o.fitting(s, nil, sets)
	s.Update(served)
	z := s.Compile(o.Look, report)
	if z == nil { // the fault is in the files
		return nil
	}
	f.unserved = source.Without(sets, served)
	why := with.Problems()[0]
	report.Add(conf.Problem{
		File: o.Updates.File(s.Name()), Key: why.Key, Text: why.Text,
		Reason: fmt.Sprintf("%s: these dynamic updates do not go with the zone's files, and are not served: %s; remove them with mxtrap update drop %s NAME", why.Reason, source.NamesOf(f.unserved), s.Name()),
	})
	return z
}

// fitting are those of some updates with which a zone can be served, beside others with which it can.
func (o Loader) fitting(s *source.Zone, beside, sets []source.RRset) []source.RRset {
	all := append(slices.Clip(beside), sets...)
	s.Update(all)
	switch z := s.Compile(o.Look, &conf.Report{Quiet: true}); {
	case z != nil:
		return all
	case len(sets) <= 1:
		return beside
	}
	half := len(sets) / 2
	return o.fitting(s, o.fitting(s, beside, sets[:half]), sets[half:])
}

// updatedAlike says whether the updates that are kept of a zone are those that it was made with.
func (o Loader) updatedAlike(f *File) bool {
	sets, err := o.Updates.Of(f.Zone.Name())
	return err == nil && sameUpdates(sets, f.updates)
}

func sameUpdates(a, b []source.RRset) bool { return slices.EqualFunc(a, b, source.Same) }

// Updates are the RRsets of a zone that dynamic updates have made, and of them those that are not served.
func (f *File) Updates() (kept, unserved []source.RRset) { return f.updates, f.unserved }

// Bounds of what updates have made of a zone, which is all written with each update.
const (
	mostUpdated       = 1000    // RRsets
	mostUpdatedOctets = 1 << 20 // of their records, in wire format
)

// Why an update cannot be made.
var (
	// ErrUnfit says that the zone would have a fault.
	ErrUnfit = errors.New("the zone would have a fault")
	// ErrBeyond says that something else would change, such as the trap.
	ErrBeyond = errors.New("something else would change")
	// ErrElsewhere says that updates of the zone are for another server, or for nobody.
	ErrElsewhere = errors.New("no update can change the zone here")
	// ErrMany says that updates have made too much.
	ErrMany = fmt.Errorf("updates may make %d RRsets of a zone, and %d octets of records", mostUpdated, mostUpdatedOctets)
)

// Change says which RRsets of a zone are to be otherwise.
type Change func(z *source.Zone) ([]source.RRset, error)

// Update makes and keeps a version of a zone in which some RRsets are otherwise; nil: nothing is. Where any other RRset would change with them,
// the trap's above all, nothing does. No record gets a TTL that is larger than all of the zone's files, which would make signatures last longer.
func (o Loader) Update(f *File, change Change, before *Files, refused []*File) (*Loading, error) {
	s, err := o.writable(f)
	if err != nil {
		return nil, err
	}
	kept, err := o.Updates.Of(f.Zone.Name())
	if err != nil {
		return nil, err
	}
	have := source.Without(kept, f.unserved)
	s.Update(have)
	o.prepare(new(File), s)
	quiet := &conf.Report{Quiet: true}
	was := s.Compile(o.Look, quiet) // by what is known of other hosts now
	if was == nil {
		return nil, fmt.Errorf("the zone cannot be made again: %w", quiet.Problems()[0])
	}
	changed, err := change(s)
	if err != nil {
		return nil, err
	}
	for _, set := range changed {
		if s.Claimed(set.Owner) {
			return nil, fmt.Errorf("%w: the trap may take the name %s", ErrBeyond, set.Owner)
		}
		for i := range set.Records {
			set.Records[i].TTL = min(set.Records[i].TTL, s.LargestTTL())
		}
	}
	served := s.Update(merged(have, changed))
	all := merged(f.unserved, served)
	if len(all) > len(kept) && len(all) > mostUpdated || octets(all) > mostUpdatedOctets {
		return nil, ErrMany
	}
	next := &File{Path: f.Path, files: f.files, Access: f.Access, origin: f.origin, text: f.text, updates: all}
	next.unserved = source.Without(f.unserved, served)
	o.prepare(next, s)
	z := s.Compile(o.Look, quiet)
	if z == nil {
		return nil, fmt.Errorf("%w: %w", ErrUnfit, quiet.Problems()[0])
	}
	differs := zone.Changed(was, z)
	for _, c := range differs {
		if !source.Has(changed, c.Owner, c.Type) {
			return nil, fmt.Errorf("%w: %s %s", ErrBeyond, c.Owner, rdata.TypeText(c.Type))
		}
	}
	if len(differs) == 0 {
		return nil, nil
	}
	if err := o.Updates.Write(z.Name(), all); err != nil {
		return nil, fmt.Errorf("cannot keep the update in server.state: %w", err)
	}
	l := o.loading(before.clone())
	l.again(refused, f.Path)
	o.serve(next, s, z, f, &l.Report)
	l.Files.put(next)
	l.stand(before, o.Waited)
	return l, nil
}

// ErrNone says that no update has made an RRset of a name.
var ErrNone = errors.New("no dynamic update has changed anything of that name")

// DropUpdates makes the RRsets of a name again what the zone's files say. It returns nil where no updates of the zone are served.
func (o Loader) DropUpdates(f *File, owner dname.Name, before *Files, refused []*File) (*Loading, error) {
	kept, err := o.Updates.Of(f.Zone.Name())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Updates.File(f.Zone.Name()), err)
	}
	rest := slices.DeleteFunc(slices.Clone(kept), func(s source.RRset) bool { return s.Owner == owner })
	if len(rest) == len(kept) {
		return nil, ErrNone
	}
	var s *source.Zone
	if len(f.updates) > 0 {
		if s, err = o.writable(f); err != nil {
			return nil, err
		}
	}
	if err := o.Updates.Write(f.Zone.Name(), rest); err != nil {
		return nil, fmt.Errorf("cannot write in server.state: %w", err)
	}
	if s == nil {
		return nil, nil
	}
	l := o.loading(before.clone())
	l.again(refused, f.Path)
	if again := o.compile(s, f.Path, f, &l.Report); again != nil {
		again.origin = f.origin
		l.Files.put(again)
	}
	l.stand(before, o.Waited)
	return l, nil
}

// errEdited says that an update would take in what the operator has not reloaded.
var errEdited = errors.New("the zone's files have changed since they were loaded: mxtrap reload first")

// writable is the source of a zone that updates may change, as it was loaded: what stands in its file now is for the next reload.
func (o Loader) writable(f *File) (*source.Zone, error) {
	switch {
	case f.Secondary != nil:
		return nil, fmt.Errorf("%w: it comes from a primary", ErrElsewhere)
	case f.catalog != "" || f.Path == catalogPath || f.Path == ListPath || f.Down != "":
		return nil, fmt.Errorf("%w: it has no file of its own, or cannot be answered", ErrElsewhere)
	case f.Zone.Given():
		return nil, fmt.Errorf("%w: another server has signed it", ErrElsewhere)
	case f.source != nil:
		return f.source, nil
	}
	text := slices.Clone(f.text) // a source that is released gives it away
	if text == nil {
		if _, _, ok := f.files.Renewed(f.file()); !ok {
			return nil, errEdited
		}
		var err error
		if text, err = source.ReadText(f.file()); err != nil {
			return nil, conf.Plain(err)
		}
	}
	var report conf.Report
	s := f.parse(text, &report)
	if s == nil {
		return nil, report.Problems()[0]
	}
	if files := s.Files(); !files.Hold(f.files) {
		return nil, errEdited
	}
	return s, nil
}

// keepText keeps the text that a zone was made of. That of a template is many zones', and nobody changes it.
func (f *File) keepText(s *source.Zone) {
	if f.text = s.Text(); !s.Listed() {
		f.text = slices.Clone(f.text)
	}
}

// parse makes the source of a zone from a text of its file.
func (f *File) parse(text []byte, report *conf.Report) *source.Zone {
	if f.template != "" {
		return source.ParseListed(f.template, text, f.files.Only(), f.Zone.Name(), report)
	}
	return source.Again(f.Path, text, f.files.Only(), report)
}

// merged are updates with others on top, in canonical order.
func merged(have, changed []source.RRset) []source.RRset {
	all := append(slices.Clone(changed), source.Without(have, changed)...)
	slices.SortFunc(all, func(a, b source.RRset) int {
		if c := a.Owner.Compare(b.Owner); c != 0 {
			return c
		}
		return int(a.Type) - int(b.Type)
	})
	return all
}

// octets is how many the records of RRsets have.
func octets(sets []source.RRset) (sum int) {
	for _, set := range sets {
		for _, r := range set.Records {
			sum += len(r.Owner) + len(r.Data)
		}
	}
	return sum
}
