package process

import (
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"ndock/docker/agent"
)

// userData is what Nova passes on of user data that is meant for ndock.
func userData(json string) string {
	return encoded(userDataMark + "\n" + json)
}

func encoded(data string) string { return base64.StdEncoding.EncodeToString([]byte(data)) }

// wide is the text in UTF-16, without a byte order mark.
func wide(text string, order binary.AppendByteOrder) string {
	var all []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		all = order.AppendUint16(all, unit)
	}
	return string(all)
}

func zipped(text string) string {
	var b strings.Builder
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text)) // a strings.Builder takes all
	_ = w.Close()
	return b.String()
}

// cutOff leaves out the checksum and the length, with which gzip ends.
func cutOff(zipped string) string { return zipped[:len(zipped)-8] }

// inMIME is user data as Heat and Terraform make it, of several parts, each with its headers.
func inMIME(parts ...string) string {
	text := "Content-Type: multipart/mixed; boundary=\"===============4023107748017163298==\"\nMIME-Version: 1.0\n\n"
	for _, part := range parts {
		text += "--===============4023107748017163298==\n" + part + "\n"
	}
	return text + "--===============4023107748017163298==--\n"
}

func TestUserDataThatOthersWrap(t *testing.T) {
	const (
		shell = "Content-Type: text/x-shellscript; charset=\"us-ascii\"\nMIME-Version: 1.0\nContent-Transfer-Encoding: 7bit\n\n#!/bin/sh\necho '#ndock'\n"
		plain = "Content-Type: text/plain; charset=\"us-ascii\"\nMIME-Version: 1.0\nContent-Transfer-Encoding: 7bit\nContent-Disposition: attachment; filename=\"cfn-userdata\"\n\n#ndock\n{\"user\":\"u\"}\n"
		asked = "#ndock\n{\"user\":\"ü\"}\n"
	)
	packed := "Content-Type: text/plain; charset=\"utf-8\"\nContent-Transfer-Encoding: base64\n\n" + encoded(asked)[:20] + "\r\n" + encoded(asked)[20:] + "\n"
	within := func(text string) string { return strings.ReplaceAll(inMIME(text), "=====", "inner") }
	many := strings.Repeat(shell+"\n--===============4023107748017163298==\n", maxParts-1)
	quoted := "Content-Transfer-Encoding: quoted-printable\n\n#ndock\n{\"user\":\"=C3=BC\"}\n"
	for name, c := range map[string]struct{ data, user string }{
		"in parts":                    {inMIME(shell, plain), "u"},
		"in parts, zipped":            {zipped(inMIME(shell, plain)), "u"},
		"in parts, of Windows":        {strings.ReplaceAll(inMIME(shell, plain), "\n", "\r\n"), "u"},
		"a part in base64":            {inMIME(packed), "ü"},
		"a part, quoted":              {inMIME(quoted, shell), "ü"},
		"MIME-Version first":          {"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n#ndock\n{\"user\":\"u\"}\n--b--\n", "u"},
		"in parts of parts":           {inMIME(shell, within(plain)), "u"},
		"in parts of parts of parts":  {inMIME(within(strings.ReplaceAll(within(plain), "inner", "third"))), ""}, // nobody makes those
		"in parts, the last":          {inMIME(many + plain), "u"},
		"in too many parts":           {inMIME(many + shell + "\n--===============4023107748017163298==\n" + plain), ""},
		"in parts of the guest's":     {inMIME(shell), ""},
		"in parts, broken off":        {inMIME(shell)[:200], ""},
		"in parts without a boundary": {"Content-Type: multipart/mixed\n\n#ndock\n{}", ""},
		"in no parts":                 {"Content-Type: text/plain\n\n#ndock\n{\"user\":\"u\"}", ""},
		"in base64":                   {encoded(asked), "ü"},
		"in base64, over lines":       {encoded(asked)[:12] + "\n" + encoded(asked)[12:] + "\n", "ü"},
		"in base64, zipped":           {encoded(zipped(asked)), "ü"},
		"in base64, in parts":         {encoded(zipped(inMIME(shell, plain))), "u"},
		"in base64, the guest's":      {encoded("#cloud-config\n{}"), ""},
	} {
		got, err := Of(agent.Spec{UserData: encoded(c.data)})
		if err != nil || got.User != c.user {
			t.Errorf("%s: got %+v, %v, want %q", name, got, err, c.user)
		}
	}
	for name, c := range map[string]struct{ data, says string }{
		"two of them":             {inMIME(plain, plain), "more than one part"},
		"one of it broken":        {inMIME(strings.Replace(plain, "}", "", 1)), "not its JSON"},
		"one, with more after it": {inMIME(plain + "nonsense\n"), "goes on"},
	} {
		if _, err := Of(agent.Spec{UserData: encoded(c.data)}); err == nil || agent.CodeOf(err) != agent.UnusableImage || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestProcess(t *testing.T) {
	no := false
	for name, c := range map[string]struct {
		data, line string
		want       Process
	}{
		"nothing":                   {},
		"command":                   {data: "#ndock\n{\"command\":[\"a\",\"b\"]}", want: Process{Command: []string{"a", "b"}}},
		"all":                       {data: `#ndock` + "\n" + `{"command":["c"],"entrypoint":["e"],"env":{"K":"V"},"workdir":"/w","user":"u","tty":false}`, want: Process{[]string{"c"}, []string{"e"}, map[string]string{"K": "V"}, "/w", "u", &no}},
		"over several lines":        {data: "#ndock\n{\n  \"user\": \"u\"\n}\n", want: Process{User: "u"}},
		"line ends of Windows":      {data: "#ndock\r\n{\"user\":\"u\"}\r\n", want: Process{User: "u"}},
		"a script of the guest's":   {data: "#!/bin/sh\necho {"},
		"another's mark":            {data: "#cloud-config\n{}"},
		"a longer mark":             {data: "#ndocker\nnonsense"},
		"bytes that are no text":    {data: "\xff\xfe\x00"},
		"a byte order mark":         {data: "\xef\xbb\xbf#ndock\n{\"user\":\"u\"}", want: Process{User: "u"}},
		"blank lines before":        {data: "\n \t\r\n#ndock\n{\"user\":\"u\"}", want: Process{User: "u"}},
		"UTF-16, little endian":     {data: "\xff\xfe" + wide("#ndock\r\n{\"user\":\"ü\"}", binary.LittleEndian), want: Process{User: "ü"}},
		"UTF-16, big endian":        {data: "\xfe\xff" + wide("#ndock\n{\"user\":\"ü\"}", binary.BigEndian), want: Process{User: "ü"}},
		"UTF-16 without a mark, LE": {data: wide("#ndock\n{\"user\":\"u\"}", binary.LittleEndian), want: Process{User: "u"}},
		"UTF-16 without a mark, BE": {data: wide("#ndock\n{\"user\":\"u\"}", binary.BigEndian), want: Process{User: "u"}},
		"gzip":                      {data: zipped("#ndock\n{\"user\":\"u\"}"), want: Process{User: "u"}},
		"gzip of UTF-16":            {data: zipped("\xff\xfe" + wide("\n#ndock\n{\"user\":\"u\"}", binary.LittleEndian)), want: Process{User: "u"}},
		"gzip of the guest's":       {data: zipped("#cloud-config\n{}"), line: "a", want: Process{Command: []string{"a"}}},
		"much gzip of the guest's":  {data: zipped("#cloud-config\n" + strings.Repeat(" ", 2*userDataLimit))},
		"damaged gzip":              {data: zipped("#cloud-config\n{}")[:20]},
		"gzip in gzip":              {data: zipped(zipped("#ndock\n{\"user\":\"u\"}"))},
		"the mark further down":     {data: "#cloud-config\n#ndock\n{}"},
		"nothing but blanks":        {data: "\xef\xbb\xbf \n\n"},
		"os_command_line":           {line: "sleep 60", want: Process{Command: []string{"sleep", "60"}}},
		"data before the line":      {data: "#ndock\n{\"command\":[\"a\"]}", line: "sleep 60", want: Process{Command: []string{"a"}}},
		"no command at all, wanted": {data: "#ndock\n{\"command\":[]}", line: "sleep 60", want: Process{Command: []string{}}},
		"data without a command":    {data: "#ndock\n{\"user\":\"u\"}", line: "sleep 60", want: Process{Command: []string{"sleep", "60"}, User: "u"}},
		"a guest's data, a line":    {data: "#!/bin/sh\n", line: "sleep 60", want: Process{Command: []string{"sleep", "60"}}},
	} {
		got, err := Of(agent.Spec{UserData: base64.StdEncoding.EncodeToString([]byte(c.data)), OSCommandLine: c.line})
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, c.want)
		}
	}
}

func TestProcessRefuses(t *testing.T) {
	for name, c := range map[string]struct{ data, line, code, says string }{
		"not base64":      {data: "#ndock", code: agent.BadRequest, says: "base64"},
		"no JSON":         {data: userData(""), code: agent.UnusableImage, says: "EOF"},
		"broken JSON":     {data: userData(`{"command":`), code: agent.UnusableImage, says: userDataMark},
		"unknown field":   {data: userData(`{"comand":["a"]}`), code: agent.UnusableImage, says: `"comand"`},
		"privileged":      {data: userData(`{"privileged":true}`), code: agent.UnusableImage, says: `"privileged"`},
		"a string":        {data: userData(`{"command":"sleep 60"}`), code: agent.UnusableImage, says: "command"},
		"a list":          {data: userData(`["sleep"]`), code: agent.UnusableImage, says: "array"},
		"two objects":     {data: userData(`{"user":"a"}{"user":"b"}`), code: agent.UnusableImage, says: "goes on"},
		"more after it":   {data: userData("{}\n#!/bin/sh"), code: agent.UnusableImage, says: "goes on"},
		"too much gzip":   {data: encoded(zipped("#ndock\n{}" + strings.Repeat(" ", userDataLimit))), code: agent.UnusableImage, says: "1048576 bytes"},
		"half of a gzip":  {data: encoded(cutOff(zipped("#ndock\n{\"user\":\"u\"}"))), code: agent.UnusableImage, says: "unexpected EOF"},
		"odd UTF-16":      {data: encoded("\xff\xfe" + wide("#ndock\n{}", binary.LittleEndian) + "x"), code: agent.UnusableImage, says: "goes on"},
		"an open quote":   {line: `echo "never closed`, code: agent.UnusableImage, says: "os_command_line"},
		"escaped nothing": {line: `echo \`, code: agent.UnusableImage, says: "os_command_line"},
	} {
		_, err := Of(agent.Spec{UserData: c.data, OSCommandLine: c.line})
		if err == nil || agent.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %s with %q", name, err, c.code, c.says)
		}
	}
}

// TestCommandLine: a command line is split as nova-docker did, which a shell does too, but none runs it.
func TestCommandLine(t *testing.T) {
	for line, want := range map[string][]string{
		"sleep 60":                        {"sleep", "60"},
		"  sleep\t60 ":                    {"sleep", "60"},
		`sh -c "echo 'a b'; sleep 60"`:    {"sh", "-c", "echo 'a b'; sleep 60"},
		`echo 'a "b" c' d\ e ""`:          {"echo", `a "b" c`, "d e", ""},
		"nginx -g daemon off;":            {"nginx", "-g", "daemon", "off;"},
		"curl http://a/?b=c&d=e":          {"curl", "http://a/?b=c&d=e"},
		"a | b > c":                       {"a", "|", "b", ">", "c"},
		"echo $HOME $(id) `id`":           {"echo", "$HOME", "$(id)", "`id`"},
		`python -c print("hello"+str(1))`: {"python", "-c", "print(hello+str(1))"},
	} {
		got, err := Of(agent.Spec{OSCommandLine: line})
		if err != nil || !slices.Equal(got.Command, want) {
			t.Errorf("%s: got %q, %v, want %q", line, got.Command, err, want)
		}
	}
}

func FuzzOf(f *testing.F) {
	f.Add([]byte("#ndock\n{\"command\":[\"a\"],\"env\":{\"A\":\"B\"}}"), "sleep 60")
	f.Add([]byte("#!/bin/sh\n"), `sh -c "echo 'a'"`)
	f.Add([]byte("#ndock\r\n[]"), "`(;&|<>)")
	f.Add([]byte("\xef\xbb\xbf\n#ndock\n{}"), "")
	f.Add([]byte("\xff\xfe"+wide("#ndock\n{}", binary.LittleEndian)), "")
	f.Add([]byte(zipped("#ndock\n{}")), "")
	f.Add([]byte(inMIME("Content-Transfer-Encoding: base64\n\n"+encoded("#ndock\n{}"))), "")
	f.Fuzz(func(t *testing.T, data []byte, line string) {
		wanted, err := Of(agent.Spec{UserData: base64.StdEncoding.EncodeToString(data), OSCommandLine: line})
		if err != nil {
			if code := agent.CodeOf(err); code != agent.UnusableImage {
				t.Errorf("the tenant's mistake is reported as %s: %v", code, err)
			}
			return
		}
		for _, variable := range Environment(nil, wanted.Env) {
			if name, _, found := strings.Cut(variable, "="); name == "" || !found || strings.Contains(variable, "\x00") {
				t.Errorf("got variable %q", variable)
			}
		}
	})
}

func TestEnvironment(t *testing.T) {
	for name, c := range map[string]struct {
		metadata, wanted map[string]string
		want             []string
	}{
		"none":              {},
		"in order":          {metadata: map[string]string{"B": "2", "A": "1", "C": "3"}, want: []string{"A=1", "B=2", "C=3"}},
		"both":              {map[string]string{"B": "2"}, map[string]string{"A": "1"}, []string{"A=1", "B=2"}},
		"same name":         {map[string]string{"A": "server's"}, map[string]string{"A": "process's"}, []string{"A=process's"}},
		"values":            {metadata: map[string]string{"A": "", "B": "x=y z\n$HOME"}, want: []string{"A=", "B=x=y z\n$HOME"}},
		"no name":           {metadata: map[string]string{"": "1"}},
		"name with =":       {metadata: map[string]string{"A=B": "1"}},
		"zero byte in name": {metadata: map[string]string{"A\x00": "1"}},
		"zero byte":         {metadata: map[string]string{"A": "1\x00LD_PRELOAD=x"}},
	} {
		if got := Environment(c.metadata, c.wanted); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
