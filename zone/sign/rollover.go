package sign

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// propagation is how long it takes at most until all servers of a zone, or of its parent, have a change (RFC 7583 3.2.3, Dprp).
const propagation = time.Hour

// Parent is what the parent zone says of the keys, as resolvers see it.
type Parent struct {
	DS  [][]byte
	TTL time.Duration
	Err error // it could not be asked
}

// has says whether the parent has a DS of a key.
func (p Parent) has(k *Key) bool { return slices.ContainsFunc(p.DS, k.Is) }

// Stage is how far a zone's keys have come.
type Stage int

// The stages of a rollover (RFC 7583 3.3.3, Double-Signature), and those before and after.
const (
	Unlinked    Stage = iota // signed, but the parent has no DS yet
	Settled                  // one key, and the parent has its DS
	Introducing              // a new key signs beside the old one; resolvers must learn of it
	Swapping                 // the parent must swap the DS
	Retiring                 // the old key goes once nobody needs it
	Withdrawing              // the parent must delete the DS
	Broken                   // the parent has only DS records of keys that do not sign
)

// Status is what the keys of a zone and its parent come to.
type Status struct {
	Stage Stage
	Until int64    // when the stage ends by itself, in seconds since 1970; 0: it does not
	Old   *Key     // that is being replaced
	New   *Key     // that takes its place; or the one there is
	Wants [][]byte // the DS records that the parent should have
	Says  string   // what to do, or what will happen
}

// StatusOf judges keys.
func StatusOf(keys []*Key, parent Parent, now int64) (s Status, err error) {
	var entries []*Key
	for _, k := range keys {
		if k.IsEntry() && (k.Times.Active(now) || k.Times.Published(now) || k.Times.none()) {
			entries = append(entries, k)
		}
	}
	if len(entries) == 0 {
		return s, errors.New("no key is published")
	}
	slices.SortFunc(entries, older)
	s.New = entries[len(entries)-1]
	if len(entries) > 1 {
		s.Old = entries[len(entries)-2]
	}
	s.Wants = [][]byte{s.New.DS(SHA256)}
	words := func(at int64) string { return time.Unix(at, 0).UTC().Format("2006-01-02 15:04 UTC") }
	switch {
	case withdrawn(entries, now):
		s.Stage, s.Wants = Withdrawing, nil
		if s.Says = "have the parent delete all DS records; CDS and CDNSKEY ask it to"; parent.Err == nil && len(parent.DS) == 0 {
			s.Says = "the parent has no DS record any more: wait for the TTL that the last one had (a day, if you do not know), then set dnssec = false"
		}
	case s.Old != nil && !reached(s.Old.Times.SyncDelete, now) && s.New.Times.SyncPublish > now:
		s.Stage, s.Until = Introducing, s.New.Times.SyncPublish
		s.Wants = [][]byte{s.Old.DS(SHA256)}
		s.Says = fmt.Sprintf("leave the parent as it is until %s: resolvers must know the new key first", words(s.Until))
	case s.Old != nil && s.Old.Times.Delete != 0:
		s.Stage, s.Until = Retiring, max(s.Old.Times.Delete, s.Old.Times.Inactive)
		s.Says = fmt.Sprintf("nothing is left to do: key %d goes at %s", s.Old.Tag, words(s.Until))
	case s.Old != nil:
		s.Stage = Swapping
		if s.Says = fmt.Sprintf("have the parent replace the DS record of key %d", s.Old.Tag); parent.Err == nil && parent.has(s.New) && !parent.has(s.Old) {
			s.Says = fmt.Sprintf("the parent has the new DS record alone: run mxtrap key roll once more, to retire key %d", s.Old.Tag)
		}
	case parent.Err == nil && len(parent.DS) == 0:
		s.Stage, s.Says = Unlinked, "give the parent this DS record; until then resolvers take the zone for unsigned"
	case parent.Err == nil && !parent.has(s.New):
		s.Stage, s.Says = Broken, "the parent's DS records fit no key of the zone: validating resolvers refuse it; give the parent this DS record at once"
	case parent.Err != nil:
		s.Stage, s.Says = Settled, "cannot tell whether the parent has this DS record: "+parent.Err.Error()
	default:
		s.Stage, s.Says = Settled, "nothing is left to do"
	}
	return s, nil
}

// older compares two keys by which of them the other is to replace: of those that were published and active at the same time, the one whose
// DS was asked for first. What stands in the names of their files, such as the tag, says nothing.
func older(a, b *Key) int {
	return cmp.Or(cmp.Compare(a.Times.Publish, b.Times.Publish), cmp.Compare(a.Times.Activate, b.Times.Activate),
		cmp.Compare(a.Times.SyncPublish, b.Times.SyncPublish), cmp.Compare(a.Times.Created, b.Times.Created))
}

// withdrawn says whether CDS and CDNSKEY ask the parent to delete the DS (RFC 8078 4): a key that signs has asked for it, and none asks for a DS.
func withdrawn(keys []*Key, now int64) bool {
	return !slices.ContainsFunc(keys, func(k *Key) bool { return k.IsEntry() && k.Times.Synced(now) }) &&
		slices.ContainsFunc(keys, func(k *Key) bool { return k.IsEntry() && k.Times.Active(now) && reached(k.Times.SyncDelete, now) })
}

// Roll takes the next step of a rollover: it returns the keys whose files have to be written, the new one among them if there is one. The
// new key is what successor makes of the algorithm, which is that of the key to be replaced where it is 0.
func Roll(keys []*Key, parent Parent, maxTTL time.Duration, algorithm uint8, successor func(algorithm uint8) (*Key, error), now int64) (write []*Key, says string, err error) {
	s, err := StatusOf(keys, parent, now)
	if err != nil {
		return nil, "", err
	}
	switch s.Stage {
	case Unlinked, Settled:
		if parent.Err != nil {
			return nil, "", fmt.Errorf("cannot look up the parent's DS records: %w", parent.Err)
		}
		k, err := successor(cmp.Or(algorithm, s.New.Algorithm))
		if err != nil {
			return nil, "", err
		}
		safe := now + int64((maxTTL + propagation).Seconds())
		k.Times = Times{Created: now, Publish: now, Activate: now, SyncPublish: safe}
		if k.Algorithm != s.New.Algorithm { // RFC 6781 4.1.4: its signatures first
			k.Times.Publish = safe
			k.Times.SyncPublish = safe + int64((maxTTL + propagation).Seconds())
		}
		old := s.New.copy()
		old.Times.SyncDelete = k.Times.SyncPublish
		if old.Times.Activate == 0 { // it had no times
			old.Times.Publish, old.Times.Activate = now, now
		}
		if old.Times.SyncPublish == 0 {
			old.Times.SyncPublish = now
		}
		return []*Key{k, old}, fmt.Sprintf("key %d takes the place of key %d", k.Tag, old.Tag), nil
	case Swapping:
		if parent.Err != nil {
			return nil, "", fmt.Errorf("cannot look up the parent's DS records: %w", parent.Err)
		}
		if !parent.has(s.New) || parent.has(s.Old) {
			return nil, "", errors.New(s.Says)
		}
		old := s.Old.copy()
		gone := now + int64((parent.TTL + propagation).Seconds())
		old.Times.Delete, old.Times.Inactive = gone, gone
		if old.Algorithm != s.New.Algorithm { // the key goes before its signatures
			old.Times.Inactive = gone + int64((maxTTL + propagation).Seconds())
		}
		return []*Key{old}, fmt.Sprintf("key %d is retired", old.Tag), nil
	}
	return nil, "", errors.New(s.Says)
}

// Withdraw has CDS and CDNSKEY ask the parent to delete the DS (RFC 8078 4): it returns the keys whose files have to be written.
func Withdraw(keys []*Key, now int64) (write []*Key) {
	for _, k := range keys {
		if !k.IsEntry() || !k.Times.Active(now) || reached(k.Times.SyncDelete, now) {
			continue
		}
		again := k.copy()
		again.Times.SyncDelete = now
		if k.Times.none() {
			again.Times.Publish, again.Times.Activate = now, now
		}
		write = append(write, again)
	}
	return write
}
