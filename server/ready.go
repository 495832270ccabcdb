package server

import (
	"mxtrap/zone/conf"
)

// arrival is a copy that has come, and the zone that was made of it.
type arrival struct {
	newCopy
	f *zoneFile
}

// makeReady makes the zone of a copy that has come, from its file as that was loaded before; nil: it is no use.
func (o loader) makeReady(u newCopy, before *zoneFile, report *conf.Report) *zoneFile {
	if before == nil || before.secondary == nil || before.secondary.name != u.name {
		return nil // the files have changed meanwhile
	}
	report.Quiet = true
	o.arrived = &u
	source := before.again(report)
	f := o.compile(source, before.path, before, report)
	if f == nil {
		return nil
	}
	if f.template != "" && u.records != nil {
		if _, _, err := source.Members(); err != nil { // what it listed before must outlive a restart
			report.Add(conf.Problem{File: before.path, Text: u.name, Reason: "a catalog from its primary is broken: what it listed before stays: " + err.Error()})
			return nil
		}
	}
	f.catalog = before.catalog
	return f
}

// takeIn puts zones that were made ready among those that are served, and makes those anew whose trap depends on look-ups where these
// have found something. Refused are the zones that had to give way before.
func (o loader) takeIn(arrived []arrival, looked bool, before *zoneFiles, refused []*zoneFile) *loading {
	l := o.loading(before.clone())
	l.again(refused)
	if looked {
		o.lookAgain(l)
	}
	for i := range arrived {
		a := &arrived[i]
		if looked && len(a.f.zone.Lookups()) > 0 {
			if f := o.makeReady(a.newCopy, before.get(a.path), &conf.Report{}); f != nil {
				a.f = f
			}
		}
		l.files.put(a.f)
	}
	l.stand(before, o.waited)
	o.renew(l, before, refused)
	return l
}

// lookAgain makes the zones anew whose trap depends on look-ups.
func (o loader) lookAgain(l *loading) {
	for f := range l.files.all() {
		if len(f.zone.Lookups()) == 0 || f.source == nil {
			continue
		}
		if again := o.compile(f.source, f.path, f, &l.report); again != nil {
			again.catalog = f.catalog
			l.files.put(again)
		}
	}
}
