package pace

import (
	"sync"
	"time"
)

// mostAMinute is how many events of a kind the log reports in a minute: anybody can cause them.
const mostAMinute = 5

// PerMinute lets [mostAMinute] events pass in a minute.
type PerMinute struct {
	mu     sync.Mutex
	minute int64
	count  int
}

// Allow says whether one more event may pass.
func (p *PerMinute) Allow(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if minute := now.Unix() / 60; minute != p.minute {
		p.minute, p.count = minute, 0
	}
	p.count++
	return p.count <= mostAMinute
}
