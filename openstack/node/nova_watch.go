package node

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// stays waits until nova-compute has been up long enough to have loaded its driver: an init script calls it started
// before that.
func (n *compute) stays(ctx context.Context) error {
	up := errors.New("still up")
	err := await(ctx, n.Patience.Poll, n.Patience.Compute, func(ctx context.Context) error {
		pid, err := n.pid(ctx)
		switch {
		case ctx.Err() != nil: // the time was up while the service manager thought
		case err != nil:
			return &hopeless{err}
		case pid == 0:
			return &hopeless{fmt.Errorf("%s ended soon after it was started", n.Layout.Compute.Name)}
		}
		return up
	})
	if errors.Is(err, up) {
		return nil
	}
	return n.explain(err)
}

// explain adds the last thing that nova-compute complained about since it was started.
func (n *compute) explain(err error) error {
	return advise(n.complaining(err), "see what it says: %s", n.Services.ReadLog(n.Layout.Compute))
}

func (n *compute) complaining(err error) error {
	since := complaints{path: n.log(), from: n.logged, since: n.restarted, not: n.former}
	if complaint := since.last(); n.did && complaint != "" {
		return fmt.Errorf("%w: %s", err, complaint)
	}
	return err
}

// lastError is what the process complained about last.
func (n *compute) lastError(pid int) string {
	since, err := started(n.Layout, pid)
	if err != nil {
		return ""
	}
	return complaints{path: n.log(), since: since.Add(-slack), of: pid}.last()
}

func (n *compute) log() string { return n.Layout.Path(n.Layout.Compute.Log) }

// complaints are the lines of a log of Nova's that are errors, as far as they are wanted. A line begins with its time and
// its process, unless the operator has given it another form: then it is only known by where it stands.
type complaints struct {
	path  string
	from  int64     // the offset in bytes where they begin
	since time.Time // what is older is not wanted
	of    int       // the process, 0 for all
	not   int       // a process that is not wanted
}

// recent is how much of a log's end is looked at, in bytes.
const recent = 1 << 20

// last returns the last one, empty where there is none. The log is nova's: nothing in it is believed, or printed as it is.
func (c complaints) last() string {
	content, _ := readTail(c.path, c.from, recent) // what was read counts
	found := ""
	for line := range strings.Lines(string(content)) {
		if (strings.Contains(line, " ERROR ") || strings.Contains(line, " CRITICAL ")) && c.wants(line) {
			found = line
		}
	}
	const enough = 300 // bytes
	found = strings.TrimSpace(found)
	return printable(found[:min(len(found), enough)])
}

func (c complaints) wants(line string) bool {
	when, pid, known := logged(line)
	if !known {
		return c.of == 0
	}
	return !when.Before(c.since) && pid != c.not && (c.of == 0 || pid == c.of)
}

// logged returns when a line was written, and by which process.
func logged(line string) (when time.Time, pid int, known bool) {
	words := strings.Fields(line[:min(len(line), 64)])
	if len(words) < 4 {
		return time.Time{}, 0, false
	}
	when, err := time.ParseInLocation("2006-01-02 15:04:05.999", words[0]+" "+words[1], time.Local)
	pid, wrong := strconv.Atoi(words[2])
	return when, pid, err == nil && wrong == nil
}

// printable is a text of others than root, with nothing in it that a terminal would obey.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}
