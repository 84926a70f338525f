package glance

import (
	"strings"
	"testing"
)

func TestElements(t *testing.T) {
	layer := `{"mediaType":"application/x","size":1,"digest":"sha256:0","annotations":{"a":"b,c"}},`
	for text, want := range map[string]bool{
		`{"layers":[` + strings.Repeat("{},", 100_000) + `{}]}`:      false,
		`[` + strings.Repeat(`"",`, 100_000) + `""]`:                 false,
		strings.Repeat("[", 100_000):                                 false,
		`{"a":"` + strings.Repeat(`{[,:\\\"`, 100_000) + `"}`:        true,
		`{"a":"\\",` + strings.Repeat(`"a":{},`, 100_000) + `"":{}}`: false,
		`{"layers":[` + strings.Repeat(layer, 4096) + `{}]}`:         true,
	} {
		var all Elements
		ok := true
		for _, b := range []byte(text) {
			ok = all.Add([]byte{b})
		}
		if ok != want || tooManyElements([]byte(text)) == want {
			t.Errorf("%.60s: %v", text, ok)
		}
	}
}
