package server

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"mxtrap/server/answer"
	"mxtrap/server/control"
	"mxtrap/server/load"
	"mxtrap/server/pace"
	"mxtrap/server/socket"
	"mxtrap/server/state"
	"mxtrap/server/update"
	"mxtrap/zone/dname"
	"mxtrap/zone/rdata"
	"mxtrap/zone/source"
)

// updateHandler answers dynamic updates.
func (s *Server) updateHandler() socket.Handler {
	h := &update.Handler{State: &s.state, Log: s.Log, Outcomes: s.metrics.Updates, Take: func(ctx context.Context, zone string, r *update.Request) error {
		_, err := within(ctx, s, func() (struct{}, error) { return struct{}{}, s.takeUpdate(zone, r) })
		return err
	}}
	return func(send func([]byte) error, packet []byte, c answer.Client) error {
		return h.Serve(s.ctx, send, packet, c)
	}
}

// takeUpdate serves a zone as an update wants it.
func (s *Server) takeUpdate(name string, r *update.Request) error {
	f, err := s.named(name)
	if err != nil {
		return update.NotAuth(err)
	}
	var changed []source.RRset
	change := func(z *source.Zone) (sets []source.RRset, err error) {
		changed, err = r.Apply(&s.config.updates, z.RRsets(r.Owners()))
		return changed, err
	}
	err = s.serveUpdated(func(o load.Loader) (*load.Loading, error) { return o.Update(f, change, s.files, s.refused) })
	switch {
	case errors.Is(err, load.ErrBeyond), errors.Is(err, load.ErrUnfit), errors.Is(err, load.ErrMany):
		return update.Refused(err)
	case err != nil:
		return err
	}
	var what []string
	for _, set := range changed {
		what = append(what, set.Owner.String()+" "+rdata.TypeText(set.Type))
	}
	s.Log.Info("took a dynamic update", "zone", f.Zone.Name(), "serial", s.state.Current.Load().Zones.Named(f.Zone.Name()).Serial(), "key", r.By.Name, "changed", strings.Join(what, ", "))
	return nil
}

// serveUpdated serves what came of an update, if anything has.
func (s *Server) serveUpdated(make func(o load.Loader) (*load.Loading, error)) (err error) {
	o := s.loader(s.config)
	l := pace.WhileServing(s.ctx, func() (l *load.Loading) {
		l, err = make(o)
		return l
	})
	if err == nil && l != nil {
		s.logProblems(l.Report.Problems())
		s.publish(s.config, l)
	}
	return err
}

// dropUpdates makes the RRsets of a name again what the files of its zone say.
func (s *Server) dropUpdates(zone, name string) error {
	f, err := s.named(zone)
	if err != nil {
		return err
	}
	apex := dname.Name(f.Zone.Apex())
	owner, err := dname.Parse(name, dname.Root)
	if err == nil && !owner.Within(apex) {
		owner, err = dname.Parse(name, apex)
	}
	if err != nil {
		return fmt.Errorf("%q: %w", name, err)
	}
	return s.serveUpdated(func(o load.Loader) (*load.Loading, error) { return o.DropUpdates(f, owner, s.files, s.refused) })
}

// updatesOf are the RRsets of a zone that updates have made, as the operator is shown them.
func updatesOf(f *load.File) (list []control.Updated) {
	for _, set := range f.Updates() {
		u := control.Updated{Name: set.Owner.String(), Type: rdata.TypeText(set.Type), Records: []string{}}
		for _, r := range set.Records {
			u.Records = append(u.Records, string(rdata.Append(nil, r.Type, r.Data)))
		}
		list = append(list, u)
	}
	return list
}

// updatesIn are the updates that are kept in a folder of state: those before, where that is the same.
func (s *Server) updatesIn(folder string) *state.Updates {
	if !s.updates.In(folder) {
		s.updates = state.NewUpdates(folder)
	}
	return s.updates
}
