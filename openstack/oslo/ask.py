"""Prints, as JSON, the value of an option of Nova's, the file that gives it, the files that are read, and whether drop-ins win.

Arguments: the option's section, the option, then what nova-compute's own command line has of --config-file=PATH and --config-dir=PATH.
"""

import json
import os
import sys
import tempfile

from oslo_config import cfg

parse, parsers = cfg.ConfigParser.parse, []


def note(parser):
    parsers.append(parser)
    return parse(parser)


def read(section, option, words, **where):
    conf = cfg.ConfigOpts()
    conf.register_opt(cfg.StrOpt(option), group=None if section == 'DEFAULT' else section)
    conf(words, project='nova', prog='nova-compute', **where)
    return conf[option] if section == 'DEFAULT' else conf[section][option]


def drop_ins_win(words):
    """Tries it, with files that say what they are in place of the real ones. A directory that is named is an empty one."""
    with tempfile.TemporaryDirectory() as place:
        named, found = os.path.join(place, 'named'), os.path.join(place, 'found')
        os.mkdir(named)
        os.mkdir(found)
        for directory, kind in (place, 'file'), (found, 'drop-in'):
            with open(os.path.join(directory, 'a.conf'), 'w') as conf:
                conf.write('[DEFAULT]\nkind = %s\n' % kind)
        file = os.path.join(place, 'a.conf')
        instead = {'--config-file': file, '--config-dir': named}
        words = ['%s=%s' % (name, instead[name]) for name in (word.partition('=')[0] for word in words)]
        return read('DEFAULT', 'kind', words, default_config_files=[file], default_config_dirs=[found]) == 'drop-in'


def main(section, option, *words):
    cfg.ConfigParser.parse = note
    value = read(section, option, words)
    cfg.ConfigParser.parse = parse
    # Not get_location(): it names the last file with that section, whether or not that has the option.
    setting = [parser.filename for parser in parsers if option in parser.sections.get(section, ())]
    print(json.dumps({
        'value': value or '',
        'file': setting[-1] if setting else '',
        'files': list(dict.fromkeys(parser.filename for parser in parsers)),
        'drop_ins_win': drop_ins_win(words),
    }))


try:
    main(*sys.argv[1:])
except cfg.ConfigFileParseError as error:
    sys.exit('oslo.config cannot parse %s' % error.config_file)  # the error itself quotes the line, which may be secret
except cfg.Error as error:
    sys.exit('oslo.config says: %s' % (error.__context__ or error))  # of a value that refers to nothing it says that there is none
