// Package novalog finds the last error in a log of Nova's.
package novalog

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"ndock/openstack/node/system"
)

// complaints are the errors in a log of Nova's, as far as they are wanted. A line begins with its time and its process,
// unless the operator has given it another form: then it is only known by where it stands.
type Log struct {
	Path       string
	From       int64     // the offset in bytes where they begin
	Since      time.Time // what is older is not wanted
	Process    int       // the process, 0 for all
	NotProcess int       // a process that is not wanted
}

// recent is how much of a log's end is looked at, in bytes.
const tailSize = 1 << 20

// begun is what nova-compute says, on every release, when it has loaded its driver and begins its work. What it calls an
// error before that, and outlives, is none: with a connection to Nova's databases in its configuration it does so at every
// start ("No DB access allowed in nova-compute").
const readyLine = "Starting compute node"

// last returns the last one, empty where there is none. The log is nova's: nothing in it is believed, or printed as it is.
func (c Log) LastError() string {
	content, _ := system.ReadTail(c.Path, c.From, tailSize) // what was read counts
	var found []entry
	var trace traceback
	for line := range strings.Lines(string(content)) {
		pid, wanted := c.wants(line)
		switch {
		case !wanted:
		case strings.Contains(line, readyLine):
			found = slices.DeleteFunc(found, func(one entry) bool { return one.pid == pid })
		case !trace.passes(line):
			found = append(found, entry{pid, line})
		}
	}
	if len(found) == 0 {
		return ""
	}
	const enough = 300 // bytes
	text := strings.TrimSpace(found[len(found)-1].line)
	return system.Printable(text[:min(len(text), enough)])
}

// explain adds the last one to an error.
func (c Log) Explain(err error) error {
	if last := c.LastError(); last != "" {
		return fmt.Errorf("%w: %s", err, last)
	}
	return err
}

// A complaint is a line of a process, 0 where that is not known.
type entry struct {
	pid  int
	line string
}

// wants tells whose line it is, and whether that is wanted.
func (c Log) wants(line string) (pid int, wanted bool) {
	when, pid, known := parsePrefix(line)
	if !known {
		return 0, c.Process == 0
	}
	return pid, !when.Before(c.Since) && pid != c.NotProcess && (c.Process == 0 || pid == c.Process)
}

// traceback follows Python's, which oslo.log writes as errors, one a line.
type traceback struct {
	within bool // one has begun
	named  bool // its exception has been seen
}

// noReason are the lines by which tracebacks begin, and are joined.
var noReason = []string{"Traceback (most recent call last)", "During handling of the above exception", "The above exception was the direct cause"}

// passes tells of a line that is no reason for anything: of a traceback only the line counts that has the exception's name and
// what it says first, and of several that belong together the last.
func (t *traceback) passes(line string) bool {
	text, isError := errorText(line)
	switch {
	case !isError, strings.TrimSpace(text) == "" && t.named: // it is over
		*t = traceback{}
		return true
	case slices.ContainsFunc(noReason, func(begin string) bool { return strings.HasPrefix(text, begin) }), strings.HasPrefix(text, "  "):
		t.within, t.named = true, false
		return true
	case strings.HasPrefix(text, "["): // of the request: another message
		*t = traceback{}
		return false
	}
	passes := t.named || strings.TrimSpace(text) == ""
	t.named = t.within
	return passes
}

// errorLine is an error in Nova's own form, behind its time and process: level, module, the server that it is about, what it says.
var errorLine = regexp.MustCompile(` (?:ERROR|CRITICAL) \S+(?: (?:\[instance: [^\]]*\] ?)?(.*))?`)

// said is what a line says, if it is an error.
func errorText(line string) (text string, isError bool) {
	match := errorLine.FindStringSubmatch(strings.TrimRight(line, "\r\n"))
	if match == nil {
		return "", false
	}
	return match[1], true
}

// logged returns when a line was written, and by which process.
func parsePrefix(line string) (when time.Time, pid int, known bool) {
	words := strings.Fields(line[:min(len(line), 64)])
	if len(words) < 4 {
		return time.Time{}, 0, false
	}
	when, err := time.ParseInLocation("2006-01-02 15:04:05.999", words[0]+" "+words[1], time.Local)
	pid, wrong := strconv.Atoi(words[2])
	return when, pid, err == nil && wrong == nil
}
