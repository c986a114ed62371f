/**
 * What each shell runs at Tab. The scripts know nothing about our commands: they pass the line to
 * `swarm __complete` and show its answer (answer.ts), which they never evaluate.
 */
export const SCRIPTS = {
  bash: `# bash completion of swarm. For all users: swarm completion bash > /etc/bash_completion.d/swarm
_swarm() {
  local -a words=()
  local left=\${COMP_LINE:0:COMP_POINT} trimmed part answer value i
  # bash also splits words at = and :, which are parts of ours.
  for (( i = 0; i <= COMP_CWORD; i++ )); do
    trimmed=\${left#"\${left%%[![:space:]]*}"}
    part=\${COMP_WORDS[i]}
    # The cursor may be inside of a word.
    if (( i == COMP_CWORD )) || [[ $trimmed != "$part"* ]]; then part=$trimmed; fi
    if (( i > 0 )) && [[ $trimmed == "$left" ]]; then
      words[\${#words[@]}-1]+=$part
    else
      words+=("$part")
    fi
    left=\${trimmed#"$part"}
  done
  local current=\${words[\${#words[@]}-1]} breaks=\${COMP_WORDBREAKS//[^=:]/} prefix=
  if [[ -n $breaks && $current == *["$breaks"]* ]]; then
    prefix=\${current%"\${current##*["$breaks"]}"}
  fi
  answer=$("\${words[0]/#\\~/$HOME}" __complete "\${words[@]:1}" 2>/dev/null) || return
  COMPREPLY=()
  while IFS=$'\\t' read -r value _; do
    case $value in
      :files)
        compopt -o filenames 2>/dev/null
        while IFS= read -r value; do COMPREPLY+=("$value"); done < <(compgen -f -- "\${current#"$prefix"}")
        ;;
      :nospace) compopt -o nospace 2>/dev/null ;;
      :*) ;;
      *) COMPREPLY+=("\${value#"$prefix"}") ;;
    esac
  done <<< "$answer"
}
complete -F _swarm swarm
`,
  zsh: `#compdef swarm
# zsh completion of swarm: swarm completion zsh > "\${fpath[1]}/_swarm"
_swarm() {
  local -a lines candidates
  local line value directive
  lines=("\${(@f)$("\${(Q)words[1]}" __complete "\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}" 2>/dev/null)}")
  for line in "\${lines[@]}"; do
    case $line in
      :*) directive=$line ;;
      ?*)
        value=\${line%%$'\\t'*}
        candidates+=("\${value//:/\\\\:}:\${line#*$'\\t'}")
        ;;
    esac
  done
  case $directive in
    :files)
      compset -P '--*='
      _files
      ;;
    :nospace) _describe swarm candidates -S '' ;;
    *) _describe swarm candidates ;;
  esac
}
if [[ $funcstack[1] == _swarm ]]; then
  _swarm "$@"
else
  compdef _swarm swarm
fi
`,
  fish: `# fish completion of swarm: swarm completion fish > ~/.config/fish/completions/swarm.fish
function __swarm_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l program $words[1]
    set -e words[1]
    for line in ($program __complete $words "$current" 2>/dev/null)
        switch $line
            case ':files'
                __fish_complete_path (string replace -r '^--[^=]*=' '' -- "$current")
            case ':*'
            case '*'
                echo $line
        end
    end
end
complete -c swarm -f -a '(__swarm_complete)'
`,
} as const;
