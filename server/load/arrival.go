package load

import (
	"fmt"

	"mxtrap/server/transfer"
	"mxtrap/zone"
	"mxtrap/zone/conf"
	"mxtrap/zone/source"
)

// Arrival is a copy that has come, and the zone that was made of it.
type Arrival struct {
	transfer.Update
	File *File
}

// Ready makes the zone of a copy that has come, from its file as that was loaded before; nil: it is no use.
func (o Loader) Ready(u transfer.Update, before *File, report *conf.Report) *File {
	if before == nil || before.Secondary == nil || before.Secondary.Name != u.Name {
		return nil // the files have changed meanwhile
	}
	report.Quiet = true
	o.arrived = &u
	source := before.again(report)
	f := o.compile(source, before.Path, before, report)
	if f == nil {
		return nil
	}
	if f.Template != "" && u.Records != nil {
		if _, _, err := source.Members(); err != nil { // what it listed before must outlive a restart
			report.Add(conf.Problem{File: before.Path, Text: u.Name, Reason: "the new version of the catalog is broken; mxtrap keeps the one before: " + err.Error()})
			return nil
		}
	}
	f.origin = before.origin
	return f
}

// TakeIn puts zones that were made ready among those that are served, and makes those anew whose trap depends on look-ups where these
// have found something. Refused are the zones that had to give way before.
func (o Loader) TakeIn(arrived []Arrival, looked bool, before *Files, refused []*File) *Loading {
	l := o.loading(before.clone())
	paths := make([]string, len(arrived))
	for i := range arrived {
		paths[i] = arrived[i].Path
	}
	l.again(refused, paths...)
	if looked {
		o.lookAgain(l)
	}
	for i := range arrived {
		a := &arrived[i]
		if looked && len(a.File.Zone.Lookups()) > 0 {
			if f := o.Ready(a.Update, before.Get(a.Path), &conf.Report{}); f != nil {
				a.File = f
			}
		}
		l.Files.put(a.File)
	}
	o.list(l, before)
	l.stand(before, o.Waited)
	o.renew(l, before, refused)
	return l
}

// lookAgain makes the zones anew whose trap depends on look-ups.
func (o Loader) lookAgain(l *Loading) {
	for f := range l.Files.All() {
		if len(f.Zone.Lookups()) == 0 || f.source == nil {
			continue
		}
		if again := o.recompiled(f, nil, l); again != nil {
			l.Files.put(again)
		}
	}
}

// Reread reads the files of one zone again. The error says that it has none of its own.
func (o Loader) Reread(f *File, before *Files, refused []*File) (*Loading, error) {
	switch {
	case f.catalog != "":
		return nil, fmt.Errorf("%q: the zone is made from the template of a catalog; reload all zones to read that again", f.Zone.Name())
	case f.listed != "":
		return nil, fmt.Errorf("%q: the zone is one of those that %s lists; reload all zones to read that again", f.Zone.Name(), f.listed)
	case f.Path == catalogPath || f.Path == ListPath:
		return nil, fmt.Errorf("%q: mxtrap makes the zone itself; it has no file", f.Zone.Name())
	}
	l := o.loading(before.clone())
	l.again(refused)
	s := source.Load(f.Path, &l.Report)
	if s != nil && s.Names() != nil {
		return nil, fmt.Errorf("%s: the file lists zones now; reload all zones", f.Path)
	}
	again := o.compile(s, f.Path, f, &l.Report)
	if again == nil {
		again = o.fail(l, f.Path, f, func() *zone.Zone { return source.Unserved(f.Path) })
	}
	if l.Files.remove(f.Path); again != nil {
		l.Files.put(again)
	}
	l.stand(before, o.Waited)
	o.renew(l, before, refused)
	return l, nil
}
