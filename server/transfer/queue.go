package transfer

import (
	"container/heap"
	"time"
)

// schedule is zones in the order of a time, so that what very many zones wait for costs no look at each of them.
type schedule []*appointment

// appointment is a zone's place in a schedule.
type appointment struct {
	at    time.Time
	zone  *refreshing
	place int // from 1 on; 0: in none
}

// set gives a zone's appointment a time, or another one.
func (s *schedule) set(a *appointment, at time.Time) {
	if a.at = at; a.place == 0 {
		heap.Push(s, a)
	} else {
		heap.Fix(s, a.place-1)
	}
}

// drop takes an appointment out.
func (s *schedule) drop(a *appointment) {
	if a.place > 0 {
		heap.Remove(s, a.place-1)
	}
}

// due takes out the first zone whose time has come; nil: none has, and wait is how long it is until the first.
func (s *schedule) due(now time.Time) (z *refreshing, wait time.Duration) {
	if len(*s) == 0 {
		return nil, time.Hour
	}
	first := (*s)[0]
	if wait = first.at.Sub(now); wait > 0 {
		return nil, wait
	}
	s.drop(first)
	return first.zone, 0
}

// The methods of heap.Interface.

func (s schedule) Len() int           { return len(s) }
func (s schedule) Less(i, j int) bool { return s[i].at.Before(s[j].at) }

func (s schedule) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].place, s[j].place = i+1, j+1
}

func (s *schedule) Push(a any) {
	*s = append(*s, a.(*appointment))
	(*s)[len(*s)-1].place = len(*s)
}

func (s *schedule) Pop() any {
	last := (*s)[len(*s)-1]
	last.place = 0
	*s = (*s)[:len(*s)-1]
	return last
}

// line is the zones that wait for a primary.
type line struct {
	notified []*refreshing // these first
	others   []*refreshing
	busy     int  // looks at it now
	silent   bool // it could not be reached when it was asked last
	inTurn   bool // it stands among those that are to be asked next
}

// add has a zone wait.
func (l *line) add(z *refreshing) {
	z.waiting, z.line = true, l
	if z.notified {
		l.notified = append(l.notified, z)
	} else if z.among != l {
		z.among = l
		l.others = append(l.others, z)
	}
}

// next takes the zone out that is first, where there is room for one more look; else it is nil.
func (l *line) next() *refreshing {
	if l.busy >= l.room() {
		return nil
	}
	for {
		var z *refreshing
		switch {
		case len(l.notified) > 0:
			z, l.notified = l.notified[0], l.notified[1:]
		case len(l.others) > 0:
			if z, l.others = l.others[0], l.others[1:]; z.among == l {
				z.among = nil
			}
		default:
			return nil
		}
		if z.waiting && z.line == l { // or else it has gone, waits elsewhere, or was in both lists
			return z
		}
	}
}

// idle says whether nothing is known of the primary that would have to be kept.
func (l *line) idle() bool { return l.busy == 0 && len(l.notified) == 0 && len(l.others) == 0 }

// room is how many looks at a time are made at the primary.
func (l *line) room() int {
	if l.silent {
		return 1
	}
	return looksAtOne
}
