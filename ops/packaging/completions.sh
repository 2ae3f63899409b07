# Shell completions of a program that has no generator of its own, from what it says with --help: its commands are the
# second words of the usage lines, its options stand at the beginning of a line. Sourced, not run.

# Options of a program with what they do: "--name<TAB>takes a value: yes or no<TAB>description", each once.
help_options() { # program
  "$1" --help | sed -nE 's/^  (--[a-z-]+)( ([A-Z][A-Z:]*))?  +(.*)$/\1\t\3\t\4/p' |
    awk -F '\t' '!seen[$1]++ { print $1 "\t" ($2 == "" ? "no" : $2 ~ /^(FILE|DIR|PATH)$/ ? "file" : "yes") "\t" $3 }'
}

help_commands() { # program
  local name
  name=$(basename "$1")
  "$1" --help | sed -nE "s/^(usage:|      ) $name \[?([a-z]+)\]?.*/\2/p" | sort -u
}

completion_from_help() { # program, shell
  local name commands flag takes text
  name=$(basename "$1")
  commands=$(help_commands "$1" | tr '\n' ' ')
  [ -n "$commands" ] && [ -n "$(help_options "$1")" ] || return 1
  case $2 in
  bash)
    printf '_%s() {\n' "${name//-/_}"
    printf '  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n'
    printf '  case $before in\n  %s) mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;\n  %s) return ;;\n  esac\n' \
      "$(help_options "$1" | awk -F '\t' '$2 == "file" { out = out (out ? " | " : "") $1 } END { print out ? out : "-" }')" \
      "$(help_options "$1" | awk -F '\t' '$2 == "yes" { out = out (out ? " | " : "") $1 } END { print out ? out : "-" }')"
    printf '  if [ "$COMP_CWORD" -eq 1 ] && [[ $word != -* ]]; then\n'
    printf '    mapfile -t COMPREPLY < <(compgen -W "%s" -- "$word")\n  else\n' "${commands% }"
    printf '    mapfile -t COMPREPLY < <(compgen -W "%s" -- "$word")\n  fi\n}\n' \
      "$(help_options "$1" | cut -f 1 | paste -sd ' ')"
    printf 'complete -F _%s %s\n' "${name//-/_}" "$name" ;;
  zsh)
    printf '#compdef %s\n_arguments -s \\\n' "$name"
    printf "  '1:command:(%s)' \\\\\n" "${commands% }"
    while IFS=$'\t' read -r flag takes text; do
      # Brackets and colons end a description, quotes end the word.
      text=$(tr -d "'" <<<"$text" | sed -e 's/[][\\:]/\\&/g')
      case $takes in
      no) printf "  '*%s[%s]' \\\\\n" "$flag" "$text" ;;
      file) printf "  '*%s[%s]:path:_files' \\\\\n" "$flag" "$text" ;;
      *) printf "  '*%s[%s]:value:' \\\\\n" "$flag" "$text" ;;
      esac
    done < <(help_options "$1")
    printf "  '*::'\n" ;;
  fish)
    printf 'complete -c %s -f\n' "$name"
    printf "complete -c %s -n '__fish_is_first_arg' -a '%s'\n" "$name" "${commands% }"
    while IFS=$'\t' read -r flag takes text; do
      text=$(sed -e "s/[\\\\']/\\\\&/g" <<<"$text")
      case $takes in
      no) takes="" ;;
      file) takes=" -r -F" ;;
      *) takes=" -x" ;;
      esac
      printf "complete -c %s -l %s%s -d '%s'\n" "$name" "${flag#--}" "$takes" "$text"
    done < <(help_options "$1") ;;
  esac
}
