package rdata

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Parts of LOC (RFC 1876 2): angles in thousandths of a second from 2^31, the altitude in centimetres from 100 km below the sea, sizes
// as a digit and a power of ten of centimetres.
const (
	equator   = 1 << 31
	degree    = 60 * 60 * 1000
	seaLevel  = 100_000 * 100
	mostMetre = 90_000_000 // of a size
)

// location is the data of LOC.
var location = field{func(data []byte) (int, error) {
	switch {
	case len(data) < 16:
		return 0, errCut
	case data[0] != 0:
		return 0, fmt.Errorf("its version %d is unknown", data[0])
	}
	for _, c := range data[1:4] {
		if c>>4 > 9 || c&0xf > 9 {
			return 0, errors.New("a size does not follow RFC 1876 2")
		}
	}
	for i, most := range []int64{90 * degree, 180 * degree} {
		if at := int64(binary.BigEndian.Uint32(data[4+4*i:])) - equator; at < -most || at > most {
			return 0, errors.New("a latitude or longitude is beyond the earth's")
		}
	}
	return 16, nil
}, readLocation, writeLocation}

// readLocation reads "d [m [s]] N|S d [m [s]] E|W altitude [size [horizontal [vertical]]]" (RFC 1876 3).
func readLocation(w *words, to []byte) ([]byte, error) {
	latitude, err := readAngle(w, "N", "S", 90)
	if err != nil {
		return to, err
	}
	longitude, err := readAngle(w, "E", "W", 180)
	if err != nil {
		return to, err
	}
	t, err := w.next()
	if err != nil {
		return to, fmt.Errorf("the altitude is %w", err)
	}
	altitude, err := decimal(metres(t.Text), 2)
	if altitude += seaLevel; err != nil || altitude < 0 || altitude > 1<<32-1 {
		return to, fmt.Errorf("%q is not an altitude in metres", t.Text)
	}
	sizes := [3]byte{0x12, 0x16, 0x13} // 1 m, 10 km, 10 m
	for i := range sizes {
		if len(w.list) == 0 {
			break
		}
		text := w.take()
		centimetres, err := decimal(metres(text), 2)
		if err != nil || centimetres < 0 || centimetres > mostMetre*100 {
			return to, fmt.Errorf("%q is not a size in metres from 0 to %d", text, mostMetre)
		}
		power := byte(0)
		for ; centimetres > 9; centimetres /= 10 {
			power++
		}
		sizes[i] = byte(centimetres)<<4 | power
	}
	to = append(append(to, 0), sizes[:]...)
	to = binary.BigEndian.AppendUint32(to, uint32(equator+latitude))
	to = binary.BigEndian.AppendUint32(to, uint32(equator+longitude))
	return binary.BigEndian.AppendUint32(to, uint32(altitude)), nil
}

func metres(text string) string { return strings.TrimSuffix(strings.ToLower(text), "m") }

// readAngle reads degrees, and minutes and seconds where they are given, up to one of two letters; the second is negative.
func readAngle(w *words, positive, negative string, most int64) (thousandths int64, err error) {
	unit := int64(degree)
	for i := 0; ; i++ {
		t, err := w.next()
		if err != nil {
			return 0, fmt.Errorf("the letter %s or %s is missing", positive, negative)
		}
		switch letter := strings.ToUpper(t.Text); {
		case i > 0 && (letter == positive || letter == negative):
			if thousandths > most*degree {
				return 0, fmt.Errorf("more than %d degrees", most)
			}
			if letter == negative {
				thousandths = -thousandths
			}
			return thousandths, nil
		case i == 2:
			n, err := decimal(t.Text, 3)
			if err != nil || n < 0 || n >= 60_000 {
				return 0, fmt.Errorf("%q is not a number of seconds", t.Text)
			}
			thousandths += n
		case i > 2:
			return 0, fmt.Errorf("%q where the letter %s or %s is wanted", t.Text, positive, negative)
		default:
			n, err := strconv.ParseUint(t.Text, 10, 8)
			if err != nil || i == 1 && n >= 60 {
				return 0, fmt.Errorf("%q is not a number of degrees or minutes", t.Text)
			}
			thousandths += int64(n) * unit
			unit /= 60
		}
	}
}

// decimal reads a number with so many digits behind its point at most, as that many times ten.
func decimal(text string, digits int) (int64, error) {
	whole, part, _ := strings.Cut(text, ".")
	if len(part) > digits || strings.HasPrefix(part, "+") || strings.HasPrefix(part, "-") {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseInt(whole+part+strings.Repeat("0", digits-len(part)), 10, 64)
}

func writeLocation(to, data []byte) []byte {
	for i, letters := range []string{"NS", "EW"} {
		at := int64(binary.BigEndian.Uint32(data[4+4*i:])) - equator
		letter := letters[0]
		if at < 0 {
			at, letter = -at, letters[1]
		}
		to = fmt.Appendf(to, "%d %d %d.%03d %c ", at/degree, at/60_000%60, at/1000%60, at%1000, letter)
	}
	altitude := int64(binary.BigEndian.Uint32(data[12:])) - seaLevel
	if altitude < 0 {
		to, altitude = append(to, '-'), -altitude
	}
	to = fmt.Appendf(to, "%d.%02dm", altitude/100, altitude%100)
	for _, c := range data[1:4] {
		size := int64(c >> 4)
		for range c & 0xf {
			size *= 10
		}
		to = fmt.Appendf(to, " %d.%02dm", size/100, size%100)
	}
	return to
}
