# Completion of rolloutctl for bash: . <(rolloutctl completion bash)
_rolloutctl() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command='' i
  local commands='deploy delete promote pause resume cancel retry rollback watch wait status list history models ready metrics api completion'
  local general='--url --unix-socket --cert --key --cacert --netrc --settings --json --help'
  local follow='--watch --wait --no-wait --until --timeout --patience --id'
  for ((i = 1; i < COMP_CWORD; i++)); do
    case " $commands " in *" ${COMP_WORDS[i]} "*) command=${COMP_WORDS[i]}; break ;; esac
  done
  case $before in
    --cert | --key | --cacert | --settings | --unix-socket) mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
    --status) mapfile -t COMPREPLY < <(compgen -W 'pending in_progress completed failed refused canceled' -- "$word"); return ;;
    --kind) mapfile -t COMPREPLY < <(compgen -W 'deploy delete' -- "$word"); return ;;
    --until) mapfile -t COMPREPLY < <(compgen -W 'final waiting weight=' -- "$word"); return ;;
    --model) mapfile -t COMPREPLY < <(compgen -W "$(rolloutctl models --names 2> /dev/null)" -- "$word"); return ;;
    --url | --source | --sha256 | --config | --param | --steps | --timeout | --patience | --id | --limit | --data) return ;;
  esac
  if [[ -z $command ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$commands $general --version" -- "$word")
    return
  fi
  if [[ $word == -* ]]; then
    local own=''
    case $command in
      deploy) own="--source --sha256 --config --param --steps $follow" ;;
      delete | promote | pause | resume | cancel | retry | rollback) own="--yes $follow" ;;
      watch | wait) own='--until --timeout --patience' ;;
      list) own='--model --status --kind --limit' ;;
      history) own='--all' ;;
      models) own='--names' ;;
      api) own='--data' ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$own $general" -- "$word")
    return
  fi
  case $command in
    completion) mapfile -t COMPREPLY < <(compgen -W 'bash zsh fish' -- "$word") ;;
    api) mapfile -t COMPREPLY < <(compgen -W 'GET POST' -- "$word") ;;
    list | models | ready | metrics) ;;
    *) mapfile -t COMPREPLY < <(compgen -W "$(rolloutctl models --names 2> /dev/null)" -- "$word") ;;
  esac
}
complete -F _rolloutctl rolloutctl
