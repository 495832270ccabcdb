package conf

import (
	"errors"
	"fmt"
)

// maxSeconds is the largest TTL (RFC 2181 8).
const maxSeconds = 1<<31 - 1

// ParseSeconds reads a time as master files write it: digits with a unit s, m, h, d or w, largest first or not, such as "1h30m".
func ParseSeconds(s string) (uint32, error) {
	total, number, digits := uint64(0), uint64(0), 0
	for _, c := range []byte(s) {
		if '0' <= c && c <= '9' {
			number = number*10 + uint64(c-'0')
			digits++
			if number > maxSeconds {
				return 0, fmt.Errorf("longer than %d seconds", maxSeconds)
			}
			continue
		}
		unit := secondsIn(c | 0x20)
		if unit == 0 || digits == 0 {
			return 0, errNoTime
		}
		total += number * unit
		number, digits = 0, 0
		if total > maxSeconds {
			return 0, fmt.Errorf("longer than %d seconds", maxSeconds)
		}
	}
	if s == "" || digits > 0 && total > 0 {
		return 0, errNoTime // "1h30": the last number has no unit
	}
	return uint32(total + number), nil
}

var errNoTime = errors.New(`not a time: write seconds, or numbers with s, m, h, d, w, such as "1h30m"`)

// secondsIn is how long a unit is; 0: there is none of that letter.
func secondsIn(unit byte) uint64 {
	switch unit {
	case 's':
		return 1
	case 'm':
		return 60
	case 'h':
		return 3600
	case 'd':
		return 86400
	case 'w':
		return 604800
	}
	return 0
}
