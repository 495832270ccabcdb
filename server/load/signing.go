package load

import (
	"fmt"
	"math"
	"slices"
	"time"

	"mxtrap/zone"
	"mxtrap/zone/conf"
	"mxtrap/zone/dname"
	"mxtrap/zone/sign"
	"mxtrap/zone/source"
)

// prepare has a zone compiled as it is now, and signed if it is to be.
func (o Loader) prepare(f *File, s *source.Zone) {
	s.At(o.now())
	f.signs = [2]bool{s.Signed(false), s.Signed(true)}
	if !s.Signed(o.Signs.Default) {
		s.SignWith(nil)
		return
	}
	with := &source.Signing{}
	var err error
	if with.Keys, err = o.Ring.Of(s.Apex()); err != nil {
		with.Why = err.Error()
	}
	f.keys = with.Keys
	with.Known, with.Since = o.pastTime(with.Keys)
	s.SignWith(with)
}

// checkKeys warns of private keys that others can read.
func (o Loader) checkKeys(report *conf.Report) {
	for _, path := range o.Ring.Exposed() {
		report.Warn(func() conf.Problem {
			return conf.Problem{File: path, Reason: "everybody on this host can read the key: chmod 600 it", Warning: true}
		})
	}
}

// pastTime is the latest time that is known to be past, and what happened then.
func (o Loader) pastTime(keys []*sign.Key) (at time.Time, what string) {
	at, what = o.Built, "this program was built"
	if saved := o.Numbers.Saved(); saved.After(at) {
		at, what = saved, "the serial numbers in server.state were written"
	}
	for _, k := range keys {
		if made := time.Unix(k.Times.Created, 0); made.After(at) {
			at, what = made, fmt.Sprintf("key %d was made", k.Tag)
		}
	}
	return at, what
}

// now is the time by the loader's clock.
func (o Loader) now() time.Time {
	if o.Now == nil {
		return time.Now()
	}
	return o.Now()
}

// signedAlike says whether a zone whose files have not changed would be signed as it is, or not at all as before.
func (o Loader) signedAlike(f *File) bool {
	signs := f.signs[0]
	if o.Signs.Default {
		signs = f.signs[1]
	}
	if !signs || f.Zone.Plan() == nil {
		return signs == (f.Zone.Plan() != nil)
	}
	keys, err := o.Ring.Of(dname.Name(f.Zone.Apex()))
	return err == nil && f.Lost == "" && slices.Equal(keys, f.keys)
}

// withKeys is the last good version of a zone, which goes on being served. Where its keys are lost, its signatures are renewed no more.
func (o Loader) withKeys(f *File) *File {
	if f.Zone.Plan() == nil {
		return f
	}
	again := *f
	again.Lost = ""
	if _, err := o.Ring.Of(dname.Name(f.Zone.Apex())); err != nil {
		again.Lost = err.Error()
	}
	if again.Lost == f.Lost {
		return f
	}
	return &again
}

// Until is when the zone will be another by itself, in seconds since 1970; never: math.MaxInt64. One whose key is lost stays as it is.
func (f *File) Until() int64 {
	until := int64(math.MaxInt64)
	if f.Lost != "" {
		return until
	}
	if plan := f.Zone.Plan(); plan != nil {
		until = plan.Until
	}
	if turn := f.Zone.Rotation(); turn != nil {
		until = min(until, turn.End)
	}
	return until
}

// ClockBack is how many seconds a clock may go back without anything being made anew for it.
const ClockBack = 600

// Due says whether the zone must be another now: its time has come, or the clock has gone back to a time of other decoys.
func (f *File) Due(now int64) bool {
	turn := f.Zone.Rotation()
	return f.Until() <= now || f.Lost == "" && turn != nil && now < turn.Begin-ClockBack
}

// Renew makes new versions of zones whose time has come. Made are such versions that were made before for their signatures alone.
func (o Loader) Renew(paths []string, made map[string]*zone.Zone, before *Files, refused []*File) *Loading {
	l := o.loading(before.clone())
	l.again(refused, paths...)
	for _, path := range paths {
		f := before.Get(path)
		if f == nil {
			continue
		}
		if again := o.renewed(f, made[path], l); again != nil {
			l.Files.put(again)
		}
	}
	l.stand(before, o.Waited)
	return l
}

// next is the version of the zone with the signatures of another plan.
func (f *File) next(plan *sign.Plan) *zone.Zone {
	return f.Zone.Renewed(plan, f.served.Own+plan.Offset-f.Zone.Plan().Offset)
}

// Next is the version of the zone that comes when its time has come; nil: that cannot be told yet, for its records will change too.
func (f *File) Next() *zone.Zone {
	plan, err := f.Zone.Plan().At(time.Unix(f.Zone.Plan().Until, 0))
	if err != nil || !plan.SameRecords(f.Zone.Plan()) {
		return nil
	}
	return f.next(plan)
}

// renewed is the next version of a zone; nil where it must stay as it is.
func (o Loader) renewed(f *File, made *zone.Zone, l *Loading) *File {
	switch turn := f.Zone.Rotation(); {
	case f.Lost != "":
		return nil
	case turn != nil && (turn.End <= o.now().Unix() || o.now().Unix() < turn.Begin-ClockBack):
		return o.recompiled(f, made, l)
	case f.Zone.Plan() == nil:
		return nil
	}
	plan, err := f.Zone.Plan().At(o.now())
	if err != nil { // its keys' times leave none: it is compiled, which says so
		if f.source != nil {
			o.compile(f.source, f.Path, f, &l.Report)
		}
		return nil
	}
	if plan.SameRecords(f.Zone.Plan()) {
		again := *f
		z := f.next(plan)
		again.Zone, again.served, _ = o.Numbers.Number(z, f.last(z.Name()), "signatures")
		if made != nil {
			again.Zone.Inherit(made)
		}
		o.follow(&again, f)
		return &again
	}
	return o.recompiled(f, made, l)
}

// recompiled is the version of a zone that its source comes to now; nil where it must stay as it is. Made is one that has signatures already.
func (o Loader) recompiled(f *File, made *zone.Zone, l *Loading) *File {
	s := f.reparsed(&l.Report)
	if s == nil {
		return nil
	}
	again := o.compile(s, f.Path, f, &l.Report)
	if again == nil {
		return nil
	}
	if again.origin = f.origin; made != nil {
		again.Zone.Inherit(made)
	}
	return again
}

// reparsed is the source of a zone as it was loaded; nil: it cannot be had.
func (f *File) reparsed(report *conf.Report) (s *source.Zone) {
	switch {
	case f.source != nil:
		return f.source
	case f.Secondary != nil:
		s = f.again(report)
	case f.text != nil:
		s = f.parse(slices.Clone(f.text), report) // a source that is released gives it away
	}
	return s
}
