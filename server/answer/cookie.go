package answer

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"

	"github.com/dchest/siphash"

	"mxtrap/server/secret"
	"mxtrap/zone/conf"
)

// DNS Cookies (RFC 7873) with server cookies as RFC 9018 has them, so that all servers of a fleet that share a secret take them.
const (
	clientCookie = 8
	serverCookie = 16
	cookieOption = 4 + clientCookie + serverCookie

	cookieAge    = 3600 // seconds that a server cookie is good for (RFC 9018 4.3)
	cookieRenew  = 1800 // after so many the client gets a new one
	cookieFuture = 300
)

// Cookies are the secrets of server cookies: the first makes them, the others are still taken.
type Cookies []cookieSecret

// cookieSecret is a key of SipHash-2-4.
type cookieSecret [16]byte

// CookiesOf reads the table [cookies]. Where no secret is given, the one that this process has made is used. Paths are relative as beside has
// them.
func CookiesOf(t *conf.Table, beside func(path string) string) Cookies {
	enabled := true
	t.Bool("enabled", &enabled)
	var secrets Cookies
	add := func(text string) {
		s, err := parseCookieSecret(text)
		if err != nil {
			t.Fault("secrets", "", err.Error()) // without the text: it is secret
			return
		}
		secrets = append(secrets, s)
	}
	if path := secret.File(t, "secrets", beside); path != "" {
		for _, line := range secret.Lines(t, "secrets", path) {
			add(line)
		}
	} else if !t.IsTable("secrets") {
		for _, item := range t.Strings("secrets") {
			add(item.Text)
		}
	}
	t.Close()
	switch {
	case !enabled:
		return nil
	case len(secrets) == 0:
		return Cookies{ownCookieSecret}
	}
	return secrets
}

func parseCookieSecret(text string) (s cookieSecret, err error) {
	octets, err := hex.DecodeString(text)
	if err != nil || len(octets) != len(s) {
		return s, errors.New(`a secret is 32 hexadecimal digits, such as of "openssl rand -hex 16"`)
	}
	return cookieSecret(octets), nil
}

// ownCookieSecret is for a server that shares none.
var ownCookieSecret = func() (s cookieSecret) {
	rand.Read(s[:])
	return s
}()

// cookie is what a query's COOKIE option holds, and then its response's.
type cookie struct {
	client [clientCookie]byte
	server [serverCookie]byte
	known  bool // the query's server cookie is as long as ours
}

// parse reads the option (RFC 7873 5.2.2).
func (c *cookie) parse(data []byte) bool {
	if n := len(data); n != clientCookie && (n < clientCookie+8 || n > clientCookie+32) {
		return false
	}
	copy(c.client[:], data)
	if c.known = len(data) == clientCookie+serverCookie; c.known {
		copy(c.server[:], data[clientCookie:])
	}
	return true
}

// answer judges the server cookie and puts in its place the one that the client is to use from now on. The time is in seconds since
// 1970.
func (s Cookies) answer(c *cookie, from netip.Addr, now uint32) (good bool) {
	made := binary.BigEndian.Uint32(c.server[4:])
	age := int32(now - made)
	if c.known && c.server[0] == 1 && age <= cookieAge && age >= -cookieFuture {
		for i := range s {
			if binary.LittleEndian.Uint64(c.server[8:]) == s[i].hash(c, from) {
				good = true
				if i == 0 && age <= cookieRenew {
					return true
				}
			}
		}
	}
	c.server = [serverCookie]byte{1}
	binary.BigEndian.PutUint32(c.server[4:], now)
	binary.LittleEndian.PutUint64(c.server[8:], s[0].hash(c, from))
	return good
}

// hash is what makes a server cookie (RFC 9018 4.4).
func (s *cookieSecret) hash(c *cookie, from netip.Addr) uint64 {
	var input [clientCookie + 8 + 16]byte
	n := copy(input[:], c.client[:])
	n += copy(input[n:], c.server[:8])
	if from.Is4() {
		address := from.As4()
		n += copy(input[n:], address[:])
	} else {
		address := from.As16()
		n += copy(input[n:], address[:])
	}
	return siphash.Hash(binary.LittleEndian.Uint64(s[:]), binary.LittleEndian.Uint64(s[8:]), input[:n])
}
