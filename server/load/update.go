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

// compileUpdated compiles a zone with the updates that are kept of it. Where these do not go with what the operator has written since, it is
// served without them, and they are kept.
func (o Loader) compileUpdated(f *File, source *source.Zone, report *conf.Report) *zone.Zone {
	if o.Updated && source.Template() == "" {
		f.text = slices.Clone(source.Text())
	}
	sets, err := o.Updates.Of(source.Name())
	if err != nil {
		report.Add(conf.Problem{File: o.Updates.File(source.Name()), Reason: "cannot read the dynamic updates of the zone, which is served without them: " + err.Error()})
		return source.Compile(o.Look, report)
	}
	if source.Update(sets); len(sets) == 0 {
		return source.Compile(o.Look, report)
	}
	f.text, f.updates = slices.Clone(source.Text()), sets
	with := conf.Report{Quiet: report.Quiet}
	if z := source.Compile(o.Look, &with); z != nil {
		report.Join(&with)
		return z
	}
	source.Update(nil)
	z := source.Compile(o.Look, report)
	if z != nil {
		why := with.Problems()[0]
		report.Add(conf.Problem{
			File: o.Updates.File(source.Name()), Key: why.Key, Text: why.Text,
			Reason: why.Reason + ": the dynamic updates do not go with the zone's files, so it is served without them; remove some with mxtrap update drop " + source.Name() + " NAME",
		})
	}
	return z
}

// Updates are the RRsets of a zone that dynamic updates have made.
func (f *File) Updates() []source.RRset { return f.updates }

func sameUpdates(f, other *File) bool {
	return slices.EqualFunc(f.updates, other.updates, source.Same)
}

// mostUpdated bounds the RRsets of a zone that updates have made, which are all written with each update.
const mostUpdated = 1000

// Why an update cannot be made.
var (
	// ErrUnfit says that the zone would have a fault.
	ErrUnfit = errors.New("the zone would have a fault")
	// ErrBeyond says that something else would change, such as the trap.
	ErrBeyond = errors.New("something else would change")
	// ErrMany says that updates have made too many RRsets.
	ErrMany = fmt.Errorf("updates have made %d RRsets of the zone already", mostUpdated)
)

// Change says which RRsets of a zone are to be otherwise.
type Change func(z *source.Zone) ([]source.RRset, error)

// Update makes and keeps a version of a zone in which some RRsets are otherwise; nil: nothing is. Where any other RRset would change with them,
// the trap's above all, nothing does.
func (o Loader) Update(f *File, change Change, before *Files, refused []*File) (*Loading, error) {
	s, err := o.writable(f)
	if err != nil {
		return nil, err
	}
	have, err := o.Updates.Of(f.Zone.Name())
	if err != nil {
		return nil, err
	}
	s.Update(have)
	o.prepareSigning(new(File), s)
	quiet := &conf.Report{Quiet: true}
	was := s.Compile(o.Look, quiet) // by what is known of other hosts now
	if was == nil {
		return nil, fmt.Errorf("the zone cannot be made again: %w", quiet.Problems()[0])
	}
	changed, err := change(s)
	if err != nil {
		return nil, err
	}
	sets := s.Update(merged(have, changed))
	if len(sets) > mostUpdated && len(sets) > len(have) {
		return nil, ErrMany
	}
	f2 := &File{Path: f.Path, files: f.files, Access: f.Access, text: f.text, updates: sets}
	o.prepareSigning(f2, s)
	z := s.Compile(o.Look, quiet)
	if z == nil {
		return nil, fmt.Errorf("%w: %w", ErrUnfit, quiet.Problems()[0])
	}
	differs := zone.Changed(was, z)
	if len(differs) == 0 {
		return nil, nil
	}
	for _, c := range differs {
		if !slices.ContainsFunc(changed, func(s source.RRset) bool { return s.Owner == c.Owner && s.Type == c.Type }) {
			return nil, fmt.Errorf("%w: %s %s", ErrBeyond, c.Owner, rdata.TypeText(c.Type))
		}
	}
	if err := o.Updates.Write(z.Name(), sets); err != nil {
		return nil, fmt.Errorf("cannot keep the update in server.state: %w", err)
	}
	l := o.loading(before.clone())
	l.again(refused)
	o.serve(f2, s, z, f, &l.Report)
	l.Files.put(f2)
	l.stand(before, o.Waited)
	return l, nil
}

// ErrNone says that no update has made an RRset of a name.
var ErrNone = errors.New("no dynamic update has changed anything of that name")

// DropUpdates makes the RRsets of a name again what the zone's files say.
func (o Loader) DropUpdates(f *File, owner dname.Name, before *Files, refused []*File) (*Loading, error) {
	have, err := o.Updates.Of(f.Zone.Name())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Updates.File(f.Zone.Name()), err)
	}
	rest := slices.DeleteFunc(slices.Clone(have), func(s source.RRset) bool { return s.Owner == owner })
	if len(rest) == len(have) {
		return nil, ErrNone
	}
	s, err := o.writable(f)
	if err != nil {
		return nil, err
	}
	if err := o.Updates.Write(f.Zone.Name(), rest); err != nil {
		return nil, fmt.Errorf("cannot write in server.state: %w", err)
	}
	l := o.loading(before.clone())
	l.again(refused)
	if again := o.compile(s, f.Path, f, &l.Report); again != nil {
		l.Files.put(again)
	}
	l.stand(before, o.Waited)
	return l, nil
}

// writable is the source of a zone that updates may change, as it was loaded: what stands in its file now is for the next reload.
func (o Loader) writable(f *File) (*source.Zone, error) {
	switch {
	case f.Secondary != nil:
		return nil, errors.New("the zone comes from a primary: ask that one")
	case f.catalog != "" || f.Path == catalogPath || f.Path == ListPath || f.Down != "":
		return nil, errors.New("the zone has no file of its own, or cannot be answered")
	case f.source != nil:
		return f.source, nil
	case f.text == nil || !f.files.Alone():
		if _, _, ok := f.files.Renewed(f.Path); !ok {
			return nil, errors.New("the zone's files have changed since they were loaded: mxtrap reload first")
		}
	}
	text := f.text
	if text == nil {
		var err error
		if text, err = source.ReadText(f.Path); err != nil {
			return nil, conf.Plain(err)
		}
	}
	var report conf.Report
	s := source.Again(f.Path, text, f.files, &report)
	if s == nil {
		return nil, report.Problems()[0]
	}
	return s, nil
}

// merged are updates with others on top.
func merged(have, changed []source.RRset) []source.RRset {
	all := slices.Clone(changed)
	for _, set := range have {
		if !slices.ContainsFunc(changed, func(c source.RRset) bool { return c.Owner == set.Owner && c.Type == set.Type }) {
			all = append(all, set)
		}
	}
	slices.SortFunc(all, func(a, b source.RRset) int {
		if c := a.Owner.Compare(b.Owner); c != 0 {
			return c
		}
		return int(a.Type) - int(b.Type)
	})
	return all
}
