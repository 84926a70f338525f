// Package novalog finds the last error in a log of nova-compute's.
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

// Log is the part of a log in which errors are looked for. A line begins with its time and process, unless the operator has
// given lines another format: of these only the position in the file is known.
type Log struct {
	Path       string
	From       int64     // an offset in bytes
	Since      time.Time // lines before are left out
	Process    int       // whose lines these are; 0 for all
	NotProcess int       // whose lines are left out
}

// tailSize is how much of a log's end is read, in bytes.
const tailSize = 1 << 20

// readyLine is what every release of nova-compute logs once its driver is loaded. Errors of the same process before that did
// no harm: with a connection to Nova's databases in its configuration, nova-compute logs one at every start ("No DB access
// allowed in nova-compute").
const readyLine = "Starting compute node"

// LastError returns the last error, an empty text where there is none. nova can write anything to its log: the text is made
// printable, and cut.
func (l Log) LastError() string {
	content, _ := system.ReadTail(l.Path, l.From, tailSize) // a part is better than nothing
	var found []entry
	var trace traceback
	for line := range strings.Lines(string(content)) {
		pid, wanted := l.wants(line)
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

// Explain adds the last error of the log to an error.
func (l Log) Explain(err error) error {
	if last := l.LastError(); last != "" {
		return fmt.Errorf("%w: %s", err, last)
	}
	return err
}

// An entry is a line, and the process that wrote it; 0 where that is not known.
type entry struct {
	pid  int
	line string
}

// wants returns which process wrote a line, and whether the line is wanted.
func (l Log) wants(line string) (pid int, wanted bool) {
	when, pid, known := parsePrefix(line)
	if !known {
		return 0, l.Process == 0
	}
	return pid, !when.Before(l.Since) && pid != l.NotProcess && (l.Process == 0 || pid == l.Process)
}

// traceback follows a traceback of Python's, of which oslo.log writes each line as an error.
type traceback struct {
	within bool // one has begun
	named  bool // its exception has been seen
}

// noReason are how the lines begin that open tracebacks, or join two.
var noReason = []string{"Traceback (most recent call last)", "During handling of the above exception", "The above exception was the direct cause"}

// passes tells whether a line is to be left out. Of a traceback only the line counts that names the exception; of tracebacks
// that belong together only the last.
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

// errorLine matches an error in Nova's own format behind time and process: level, module, server, text.
var errorLine = regexp.MustCompile(` (?:ERROR|CRITICAL) \S+(?: (?:\[instance: [^\]]*\] ?)?(.*))?`)

// errorText returns the text of a line that is an error.
func errorText(line string) (text string, isError bool) {
	match := errorLine.FindStringSubmatch(strings.TrimRight(line, "\r\n"))
	if match == nil {
		return "", false
	}
	return match[1], true
}

// parsePrefix returns when a line was written, and by which process.
func parsePrefix(line string) (when time.Time, pid int, known bool) {
	words := strings.Fields(line[:min(len(line), 64)])
	if len(words) < 4 {
		return time.Time{}, 0, false
	}
	when, err := time.ParseInLocation("2006-01-02 15:04:05.999", words[0]+" "+words[1], time.Local)
	pid, wrong := strconv.Atoi(words[2])
	return when, pid, err == nil && wrong == nil
}
