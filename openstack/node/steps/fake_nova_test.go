package steps

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"ndock/openstack/oslo"
)

// scriptStarts returns the words that Debian's init script starts nova-compute with.
func (f *fakeMachine) scriptStarts() []string {
	words := []string{"/usr/bin/nova-compute", "--config-file=/etc/nova/nova.conf"}
	if f.exists(configFile) {
		words = append(words, "--config-file="+configFile)
	}
	return append(words, "--log-file=/var/log/nova/nova-compute.log")
}

// unitStarts returns what systemd shows of a unit's command, which is Debian's script where there is no such unit.
func (f *fakeMachine) unitStarts(service string) string {
	command := "/etc/init.d/" + service + " systemd-start"
	for _, dir := range []string{"/etc/systemd/system/", "/usr/lib/systemd/system/"} {
		if !f.exists(dir + service + ".service") {
			continue
		}
		if found := regexp.MustCompile("(?m)^ExecStart *= *(.*)$").FindStringSubmatch(f.content(dir + service + ".service")); found != nil {
			command = found[1]
		}
	}
	return fmt.Sprintf("{ path=%s ; argv[]=%s ; ignore_errors=no ; start_time=[n/a] }\n", strings.Fields(command)[0], command)
}

// takes answers as oslo.config does, see TestWhatNovaTakes.
func (f *fakeMachine) takes(section, option string, words []string) (string, error) {
	if f.novaSays != nil {
		return f.novaSays()
	}
	now := oslo.Setting{DropInsWin: true}
	var found, named []string
	for _, word := range words {
		if file, ok := strings.CutPrefix(word, "--config-file="); ok {
			named, now.DropInsWin = append(named, file), false
		}
	}
	for _, dir := range []string{"nova.conf.d", "nova-compute.conf.d"} {
		paths, err := filepath.Glob(f.path("/etc/nova/" + dir + "/*.conf"))
		f.must(err)
		for _, path := range paths {
			found = append(found, f.Layout.Cut(path))
		}
	}
	now.Files = append(found, named...)
	if now.DropInsWin {
		files := slices.DeleteFunc([]string{"/etc/nova/nova.conf", configFile}, func(path string) bool { return !f.exists(path) })
		now.Files = append(files, found...)
	}
	for _, file := range now.Files {
		_, of, _ := strings.Cut(f.content(file), "["+section+"]")
		of, _, _ = strings.Cut(of, "\n[")
		for _, set := range regexp.MustCompile("(?m)^"+option+" *= *(.*)$").FindAllStringSubmatch(of, -1) {
			now.Value, now.File = set[1], file
		}
	}
	answer, err := json.Marshal(now)
	return string(answer), err
}
