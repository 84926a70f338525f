package process

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"strings"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// userDataMark is the first line of user data that is meant for ndock. Other user data is not read.
const userDataMark = "#ndock"

// userDataLimit bounds what gzip makes of user data. Nova takes 64 KiB in base64.
const userDataLimit = 1 << 20

// forNdock returns what follows the mark, if there is one, in the user data or in a part of it. Heat and Terraform make
// parts of it, and some tools encode it as base64 before Nova's client does so again.
func forNdock(raw []byte) (rest string, found bool, err error) {
	text, damage := userDataText(raw)
	if plain, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), "")); err == nil {
		text, damage = userDataText(plain)
	}
	for _, part := range append(partsOf(text), text) {
		mark, after, _ := strings.Cut(part, "\n")
		if strings.TrimSpace(mark) != userDataMark {
			continue
		}
		if found {
			return "", true, errors.New("more than one part of it does")
		}
		rest, found = after, true
	}
	if found && damage != nil {
		return "", true, fmt.Errorf("it cannot be unpacked: %w", damage)
	}
	return rest, found, nil
}

// maxParts is how many parts of user data are read.
const maxParts = 100

// part is a part of user data in MIME.
type part struct{ kind, text string }

// partsOf returns the parts of user data in MIME, and their parts, as far as they can be read. Other user data has none.
func partsOf(text string) (texts []string) {
	message, err := mail.ReadMessage(strings.NewReader(text))
	if err != nil {
		return nil
	}
	parts := split(message.Header.Get("Content-Type"), message.Body, maxParts)
	for _, outer := range parts {
		parts = append(parts, split(outer.kind, strings.NewReader(outer.text), maxParts-len(parts))...)
	}
	for _, one := range parts {
		texts = append(texts, one.text)
	}
	return texts
}

// split returns at most this many parts of a multipart body; other bodies have none.
func split(kind string, body io.Reader, most int) (parts []part) {
	kind, settings, err := mime.ParseMediaType(kind)
	if err != nil || !strings.HasPrefix(kind, "multipart/") {
		return nil
	}
	reader := multipart.NewReader(body, settings["boundary"])
	for range most {
		next, err := reader.NextPart() // which decodes quoted-printable
		if err != nil {
			return parts
		}
		var body io.Reader = next
		if strings.EqualFold(next.Header.Get("Content-Transfer-Encoding"), "base64") {
			body = base64.NewDecoder(base64.StdEncoding, next)
		}
		if content, err := io.ReadAll(body); err == nil {
			parts = append(parts, part{next.Header.Get("Content-Type"), strings.TrimSpace(string(content))})
		}
	}
	return parts
}

// userDataText returns user data as text in UTF-8, from its first line that is not blank. Editors and tools of Windows write
// a byte order mark or UTF-16, and tools made for cloud-init compress with gzip. The error says why the text is not
// complete: whether it matters depends on how the text begins.
func userDataText(raw []byte) (string, error) {
	raw, damage := unpackUserData(raw)
	decoder := unicode.BOMOverride(transform.Nop)
	switch { // UTF-16 without a byte order mark: no text in UTF-8 has such a byte
	case len(raw) > 1 && raw[0] == 0:
		decoder = unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM).NewDecoder()
	case len(raw) > 1 && raw[1] == 0:
		decoder = unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM).NewDecoder()
	}
	text, _, err := transform.Bytes(decoder, raw)
	return strings.TrimSpace(string(text)), errors.Join(damage, err)
}

// unpackUserData decompresses gzip, as far as it can be read and up to the limit, and returns other data as it is.
func unpackUserData(raw []byte) ([]byte, error) {
	packed, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return raw, nil
	}
	text, err := io.ReadAll(io.LimitReader(packed, userDataLimit+1))
	if err == nil && len(text) > userDataLimit {
		err = fmt.Errorf("it holds more than %d bytes", userDataLimit)
	}
	return text, err
}
