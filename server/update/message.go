package update

import (
	"encoding/binary"
	"errors"

	"github.com/miekg/dns"

	"mxtrap/server/answer"
	"mxtrap/zone/dname"
	"mxtrap/zone/rdata"
	"mxtrap/zone/rr"
)

// message is what an update says (RFC 2136 2).
type message struct {
	needs   []entry // the prerequisites
	changes []entry
}

// entry is a record of the message. Its class says what is meant by it: IN for a record, ANY for an RRset or all of a name, NONE for what is not
// to be.
type entry struct {
	rr.Record
	class uint16
}

func (e *entry) owner() dname.Name { return dname.Name(e.Owner) }

// rcodeError is what an update is answered with, and why.
type rcodeError struct {
	rcode int
	error
}

func failed(rcode int, why string) error { return rcodeError{rcode, errors.New(why)} }

// Refused has an update answered with REFUSED for a reason.
func Refused(why error) error { return rcodeError{dns.RcodeRefused, why} }

// NotZone has one answered so that names what another zone has.
func NotZone(why error) error { return rcodeError{dns.RcodeNotZone, why} }

// NotAuth has one answered so whose zone is not served here.
func NotAuth(why error) error { return rcodeError{dns.RcodeNotAuth, why} }

// readMessage reads the sections behind the question, which is the zone. The whole packet has been parsed: it is cut short nowhere.
func readMessage(q *answer.Query, apex dname.Name) (m message, err error) {
	at := q.End
	for section := range 2 {
		for range binary.BigEndian.Uint16(q.Packet[6+2*section:]) {
			var e entry
			if e.Record, e.class, at, err = rr.Unpack(q.Packet, at); err != nil {
				return m, rcodeError{dns.RcodeFormatError, err}
			}
			if !e.owner().Within(apex) {
				return m, failed(dns.RcodeNotZone, dname.Name(e.Owner).String()+" is not of the zone")
			}
			if section == 0 {
				m.needs = append(m.needs, e)
				err = e.checkNeed()
			} else {
				m.changes = append(m.changes, e)
				err = e.checkChange()
			}
			if err != nil {
				return m, err
			}
		}
	}
	return m, nil
}

var errForm = failed(dns.RcodeFormatError, "a record is of a form that no update has")

// checkNeed holds the rules of RFC 2136 3.2.
func (e *entry) checkNeed() error {
	switch {
	case e.TTL != 0:
		return errForm
	case e.class == dns.ClassANY || e.class == dns.ClassNONE:
		if len(e.Data) > 0 {
			return errForm
		}
		return nil
	case e.class == dns.ClassINET:
		return e.checkData()
	}
	return errForm
}

// checkChange holds the rules of RFC 2136 3.4.1.
func (e *entry) checkChange() error {
	switch e.class {
	case dns.ClassINET:
		return e.checkData()
	case dns.ClassNONE:
		if e.TTL != 0 {
			return errForm
		}
		return e.checkData()
	case dns.ClassANY:
		if e.TTL != 0 || len(e.Data) > 0 || e.Type != dns.TypeANY && rdata.Check(e.Type, nil) != nil && rdata.Of(e.Type) == nil {
			return errForm
		}
		return nil
	}
	return errForm
}

// checkData says whether the record is one that zones hold.
func (e *entry) checkData() error {
	if err := rdata.Check(e.Type, e.Data); err != nil {
		return rcodeError{dns.RcodeFormatError, err}
	}
	return nil
}
